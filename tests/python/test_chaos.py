"""A slice of `make chaos`: random faults on real processes, and a look at everything after each round."""

import os
import subprocess
import sys
from pathlib import Path

from support import VARIABLES

CHAOS = Path(__file__).parent.parent / "chaos" / "chaos.py"


def test_a_slice_of_chaos() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, str(CHAOS), "--rounds", "12"],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 rounds" in done.stdout and " 0 violations" in done.stdout

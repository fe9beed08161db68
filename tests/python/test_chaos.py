"""A slice of `make chaos`: random faults on real processes, and a look at everything after each round."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support import LIMIT, VARIABLES, run

CHAOS = Path(__file__).parents[1] / "chaos"
CLOCK_JUMP = CHAOS.parents[1] / "build" / "tests" / "libtensorbroker_clock_jump.so"
YEAR = 365 * 86_400


def test_a_slice_of_chaos() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, str(CHAOS / "chaos.py"), "--rounds", "16", "--each", "4"],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "16 rounds" in done.stdout and " 0 violations" in done.stdout


CREATED = """
import struct, sys, tensorbroker as tb
with tb.connect(sys.argv[1], runtime_dir=sys.argv[2], autostart=True) as client:
    client.put("before", [1])
    with open(sys.argv[3], "r+b") as clock:
        clock.write(struct.pack("q", int(sys.argv[4]) * 10**9))
    client.put("after", [1])
    before, after = (client.list(name)[0].created for name in ("before", "after"))
    print(after - before)
"""


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_the_clock_that_chaos_sets_is_the_broker_s(
    instance: str, runtime_dir: str, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(8))
        file.flush()
        monkeypatch.setenv("TENSORBROKER_CHAOS_CLOCK", file.name)
        monkeypatch.setenv("LD_PRELOAD", str(CLOCK_JUMP))
        assert abs(float(run(CREATED, instance, runtime_dir, file.name, str(jump))) - jump) < LIMIT


BREAKS = """
import os, subprocess, sys
sys.path.insert(0, sys.argv.pop(1))
import chaos, faults
def hangs(world):
    raise subprocess.TimeoutExpired("something", 20)
def leaves_a_segment(world):
    open(f"/dev/shm/tensorbroker.{os.geteuid()}.{world.instance}.session.7", "w").close()
fault = globals()[sys.argv.pop()]
faults.choose = lambda source, may_lose: [fault]
sys.exit(chaos.main())
"""


@pytest.mark.parametrize("fault, text", [("hangs", "FAILED"), ("leaves_a_segment", "VIOLATION: /dev/shm has")])
def test_what_goes_wrong_is_reported_with_the_seed(tmp_path: Path, fault: str, text: str) -> None:
    clock = tmp_path / "clock"
    clock.write_bytes(bytes(8))
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", BREAKS, str(CHAOS), "--rounds", "1", "--seed", "5", fault],
        check=False,
        env=environment | {"TENSORBROKER_CHAOS_CLOCK": str(clock)},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"round 0 ({fault}): {text}" in done.stdout
    assert "make chaos SEED=5 ROUNDS=1" in done.stdout

"""What the fuzzing of the Python surface began with, and what it found, played again."""

import sys
from pathlib import Path

import pytest
import tensorbroker as tb

FUZZ = Path(__file__).resolve().parent.parent / "fuzz"
sys.path.append(str(FUZZ))

import python_input  # noqa: E402

INPUTS = sorted((FUZZ / "corpus" / "python").iterdir())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_replay(client: tb.Client, path: Path) -> None:
    python_input.setup(client)
    python_input.play(path.read_bytes(), client)

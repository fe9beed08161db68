"""CLOCK_REALTIME of the processes of a run, which the run may set: see clock_jump.cc, which they have preloaded."""

import mmap
import os
import struct
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

LIBRARY = Path(__file__).parents[2] / "build" / "tests" / "libtensorbroker_clock_jump.so"
VARIABLE = "TENSORBROKER_CHAOS_CLOCK"  # a file: by how many nanoseconds the clock is ahead


def preload() -> Path | None:
    """Start this program again with the library where it was not; return the clock's file in the end, which is ours."""
    if VARIABLE not in os.environ and LIBRARY.exists():
        restart()
    return Path(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def restart() -> NoReturn:
    """Start this program again, with a clock that nobody has set yet."""
    descriptor, path = tempfile.mkstemp(prefix="tb-clock-")
    os.write(descriptor, bytes(8))
    os.close(descriptor)
    before = os.environ.get("LD_PRELOAD")
    libraries = str(LIBRARY) if before is None else f"{before} {LIBRARY}"
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {VARIABLE: path, "LD_PRELOAD": libraries})


class Clock:
    """The offset of the clock; without a file it cannot be set."""

    def __init__(self, path: Path | None) -> None:
        """Map the file that all processes look at."""
        self._offset: mmap.mmap | None = None
        if path is not None:
            with path.open("r+b") as file:
                self._offset = mmap.mmap(file.fileno(), 8)

    def set(self, seconds: float) -> None:
        """Let the clock be ahead by so much from now on."""
        if self._offset is not None:
            self._offset[:] = struct.pack("q", int(seconds * 1e9))

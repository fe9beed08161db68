"""A broker of the demo's own, which never meets the user's: an instance name and a runtime directory for one run."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorbroker as tb


class Place:
    """Where this run's broker lives. Whoever connects first starts it."""

    def __init__(self, runtime_dir: Path) -> None:
        """Let the broker have `runtime_dir` for its socket and log."""
        self.instance = f"digits-demo-{os.getpid()}"
        self.runtime_dir = runtime_dir

    def env(self) -> dict[str, str]:
        """Return the environment in which `tb.connect()` and `Client::connect()` find this broker."""
        return os.environ | {
            "TENSORBROKER_INSTANCE": self.instance,
            "TENSORBROKER_RUNTIME_DIR": str(self.runtime_dir),
            "TENSORBROKER_AUTOSTART": "1",
            # A C++ program that comes first looks for tensorbrokerd there, which lies beside this Python.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        }

    def connect(self, *, autostart: bool) -> tb.Client:
        """Connect to this run's broker."""
        return tb.connect(self.instance, runtime_dir=str(self.runtime_dir), autostart=autostart)

    def leftovers(self) -> list[str]:
        """Return the names of what this run's broker has in /dev/shm."""
        return sorted(path.name for path in Path("/dev/shm").glob(f"tensorbroker.{os.geteuid()}.{self.instance}.*"))

    def end_broker(self, timeout: float = 10.0) -> None:
        """End the broker in good order; RuntimeError where it leaves something in /dev/shm."""
        if not self.leftovers():
            return
        with self.connect(autostart=True) as client:  # if it was killed, its successor cleans up
            pid = client.stats()["broker_pid"]
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while left := self.leftovers():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the broker (pid {pid}) left in /dev/shm: {', '.join(left)}")
            time.sleep(0.02)


@contextmanager
def own_place() -> Iterator[Place]:
    """Make a place for a broker; at the end, end the broker and remove its files."""
    with tempfile.TemporaryDirectory(prefix="tensorbroker-demo-") as folder:
        place = Place(Path(folder))
        try:
            yield place
        finally:
            place.end_broker()

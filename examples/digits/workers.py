"""The demo's processes: each says what happens as JSON lines on its standard output."""

import json
import queue
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

Events = queue.Queue[dict[str, Any]]
STOP_SECONDS = 10.0


class Worker:
    """A child process whose lines go to a queue and whose errors go to a file."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path, events: Events) -> None:
        """Start `command` in a process group of its own: Ctrl-C reaches the demo, which then ends its workers."""
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                process_group=0,
            )
        self._reader = threading.Thread(target=self._read, args=(events,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        return self._process.poll()

    def stop(self) -> int:
        """End the process, gently at first; return its exit status when all that it said is in the queue."""
        if self.status is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        status = self._process.wait()
        self._reader.join()
        return status

    def errors(self, lines: int = 20) -> str:
        """Return the end of what the process wrote to standard error."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def _read(self, events: Events) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            events.put(json.loads(line))

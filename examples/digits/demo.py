"""Runs the example: a trainer, an inference worker and a client, three processes that share one model's memory.

    python examples/digits/demo.py [--epochs 20] [--crash]

train.py publishes its weights after every epoch, serve (C++) answers with the newest, query.py asks. The broker is the
demo's own: whoever connects first starts it, and the demo ends it. With --crash it is killed half-way, and comes back.
The status is 0 if all went well: every process stayed up, the accuracy reached 95 %, nothing was left behind.
"""

import argparse
import queue
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from display import Display, make_display, summary
from observer import Observer
from place import Place, own_place
from progress import Progress
from rich.console import Console
from workers import Events, Worker

HERE = Path(__file__).resolve().parent
SERVE = HERE.parents[1] / "build/examples/digits/serve"
TICK = 0.1  # seconds between two looks at everything


class DemoError(Exception):
    """Something went wrong; the message says what."""


class Demo:
    """One run of the three workers."""

    def __init__(self, place: Place, arguments: argparse.Namespace) -> None:
        """Start the workers."""
        self.progress = Progress(arguments.epochs)
        self._events: Events = queue.Queue()
        options = ["--epochs", str(arguments.epochs), "--seed", str(arguments.seed), "--pause", str(arguments.pause)]
        commands = {
            "train.py": [sys.executable, str(HERE / "train.py"), "--json", *options],
            "serve": [str(SERVE), "--json"],
            "query.py": [sys.executable, str(HERE / "query.py"), "--json"],
        }
        self._workers = {
            name: Worker(command, place.env(), place.runtime_dir / f"{name}.log", self._events)
            for name, command in commands.items()
        }

    def __enter__(self) -> Self:
        """Return the demo itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers that still run."""
        for worker in self._workers.values():
            worker.stop()

    def wait_for_broker(self, display: Display, deadline: float) -> None:
        """Wait until train.py has published something: from then on there is a broker."""
        while self.progress.heldout_images == 0:
            display.show(self.progress, self._pids())
            self._tick(deadline)

    def run(self, observer: Observer, display: Display, crash_after: int | None, deadline: float) -> None:
        """Watch until training has ended, and its last version was served and asked about."""
        next_stats = 0.0
        while not self.progress.finished or self._workers["train.py"].status is None:
            self._tick(deadline)
            latest, outage = self.progress.latest, self.progress.outage
            self.progress.requests = observer.answered()
            if outage is None and crash_after is not None and latest is not None and latest.epoch >= crash_after:
                self.progress.outage = observer.kill_broker(latest.epoch)
            elif (outage is None or outage.successor is not None) and time.monotonic() > next_stats:
                self.progress.stats = observer.stats()
                next_stats = time.monotonic() + 1
            display.show(self.progress, self._pids())

    def stop(self) -> None:
        """End the workers and take in their last words; DemoError where one of them did not end well."""
        for name, worker in self._workers.items():
            if (status := worker.stop()) != 0:
                raise DemoError(f"{name} ended with status {status}\n{worker.errors()}")
        self._take_events()

    def _pids(self) -> dict[str, int]:
        broker = {"tensorbrokerd": int(self.progress.stats["broker_pid"])} if self.progress.stats else {}
        return {name: worker.pid for name, worker in self._workers.items()} | broker

    def _tick(self, deadline: float) -> None:
        """Take in what happens within a tick; DemoError where a worker is gone too early."""
        if time.monotonic() > deadline:
            raise DemoError("the run took longer than --timeout")
        for name, worker in self._workers.items():
            if worker.status is not None and (worker.status != 0 or name != "train.py"):
                raise DemoError(f"{name} ended early, with status {worker.status}\n{worker.errors()}")
        time.sleep(TICK)
        self._take_events()

    def _take_events(self) -> None:
        while not self._events.empty():
            self.progress.note(self._events.get())


def run(arguments: argparse.Namespace, console: Console) -> Progress:
    """Run the whole example; return what it has shown."""
    deadline = time.monotonic() + arguments.timeout
    crash_after = max(1, arguments.epochs // 2) if arguments.crash else None
    with ExitStack() as stack:
        place = stack.enter_context(own_place())
        demo = stack.enter_context(Demo(place, arguments))
        display = stack.enter_context(make_display(console))
        demo.wait_for_broker(display, deadline)
        observer = stack.enter_context(Observer(place))
        demo.run(observer, display, crash_after, deadline)
        demo.stop()
    return demo.progress


def interrupt(*_: object) -> None:
    """Let SIGTERM end the demo as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> int:
    """Parse the arguments, run, say what was shown; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20, help="at least 2 with --crash")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds after each epoch, so that one can watch")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds that the run may take")
    parser.add_argument("--crash", action="store_true", help="kill the broker half-way")
    arguments = parser.parse_args()
    if arguments.epochs < (2 if arguments.crash else 1):
        parser.error(f"--epochs {arguments.epochs} is too few")
    if not SERVE.exists():
        parser.error(f"{SERVE} is not there: run `make build` first")

    signal.signal(signal.SIGTERM, interrupt)
    try:
        progress = run(arguments, Console())
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    except (DemoError, RuntimeError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print("\n" + summary(progress))
    failures = list(progress.failures())
    for failure in failures:
        print(f"demo: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

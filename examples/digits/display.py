"""Shows a run of the demo: one screen that is redrawn, or plain lines where standard output is no terminal."""

from types import TracebackType
from typing import Protocol, Self

from progress import Outage, Progress, Version
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

ROWS = 7  # versions on the screen, the newest ones
TASKS = {
    "train.py": "PyTorch: trains, publishes weights",
    "serve": "C++: answers from those same pages",
    "query.py": "NumPy: sends held-out digits",
    "tensorbrokerd": "keeps the memory, serves no reads",
}


def percent(value: float | None) -> str:
    """Return 0.9574 as `95.74 %`."""
    return "" if value is None else f"{value:.2%}".replace("%", " %")


def milliseconds(seconds: float | None) -> str:
    """Return 0.00031 as `0.31 ms`."""
    return "" if seconds is None else f"{seconds * 1e3:.2f} ms"


def after_put(seconds: float) -> str:
    """Return 0.00031 as `0.31 ms after put returned`; serve can be quicker than the broker's reply to train.py."""
    return f"{milliseconds(abs(seconds))} {'after put returned' if seconds >= 0 else 'before put had returned'}"


def outage_line(outage: Outage) -> str:
    """Say what is known of the broker's death so far."""
    line = f"The broker (pid {outage.killed}) was killed after epoch {outage.after_epoch}"
    if outage.seconds is None:
        return line + f": {outage.answered:,} requests answered without one so far."
    line += f"; its successor (pid {outage.successor}) was there {milliseconds(outage.seconds)} later."
    line += f" Meanwhile serve answered {outage.answered:,} requests."
    if outage.put_seconds is not None:
        line += f" train.py's next put went through in {milliseconds(outage.put_seconds)}."
    return line


def summary(progress: Progress) -> str:
    """Say in a few lines what the run has shown."""
    latencies = sorted(v.first_answer for v in progress.versions.values() if v.first_answer is not None)
    accuracies = [v.queried_accuracy for v in progress.versions.values() if v.queried_accuracy is not None]
    lines = [
        f"train.py published {len(progress.versions)} versions of its model, {progress.weights_bytes:,} bytes each.",
        f"serve swapped in {progress.swapped} of them and answered {progress.requests:,} requests meanwhile.",
    ]
    if accuracies:
        lines.append(f"Accuracy on held-out digits rose from {percent(accuracies[0])} to {percent(accuracies[-1])}.")
    if latencies:
        lines.append(
            f"First answer with the new weights: at the median {after_put(latencies[len(latencies) // 2])}, "
            f"at the slowest {after_put(latencies[-1])}."
        )
    if progress.copied_bytes is not None:
        lines.append(f"Bytes copied for reading: {progress.copied_bytes:,}.")
    if progress.outage is not None:
        lines.append(outage_line(progress.outage))
    return "\n".join(lines)


class Display(Protocol):
    """What the demo needs of a display."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the last state and leave it there."""
        ...

    def show(self, progress: Progress, pids: dict[str, int]) -> None:
        """Show the present state; called some ten times a second."""
        ...


class Lines:
    """One line for each version and for what happens to the broker."""

    def __init__(self) -> None:
        """Nothing was printed yet."""
        self._printed: set[object] = set()

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def show(self, progress: Progress, pids: dict[str, int]) -> None:
        """Print what is new."""
        for name, pid in pids.items():
            self._once(name, f"{name} (pid {pid}): {TASKS[name]}")
        for version in list(progress.versions.values()):
            if version.queried_accuracy is not None and version.served_accuracy is not None:
                self._once(version.number, self._version(version))
        if (outage := progress.outage) is not None:
            self._once("killed", f"The broker (pid {outage.killed}) was killed.")
            if outage.put_seconds is not None and outage.seconds is not None:
                self._once("outage", outage_line(outage))

    @staticmethod
    def _version(version: Version) -> str:
        line = f"epoch {version.epoch}, step {version.step}: accuracy {version.queried_accuracy:.4f} from serve, "
        line += f"{version.accuracy:.4f} in train.py; put took {milliseconds(version.put_seconds)}"
        if version.first_answer is not None:
            line += f", first answer {after_put(version.first_answer)}"
        return line

    def _once(self, key: object, line: str) -> None:
        if key not in self._printed:
            self._printed.add(key)
            print(line, flush=True)


class Screen:
    """One screen, redrawn in place."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`."""
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        """Begin to show."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state on the screen."""
        self._live.stop()

    def show(self, progress: Progress, pids: dict[str, int]) -> None:
        """Redraw."""
        self._live.update(self._render(progress, pids), refresh=True)

    def _render(self, progress: Progress, pids: dict[str, int]) -> RenderableType:
        parts: list[RenderableType] = [
            Text("tensorbroker: one model, three processes, the same memory", style="bold"),
            self._processes(progress, pids),
            Text(),
            self._bar(progress),
            Text(),
            Text("accuracy on held-out digits; how long put took, and then the first answer", style="dim"),
            self._versions(progress),
            Text(),
            self._memory(progress),
        ]
        if progress.outage is not None:
            parts.append(Text(outage_line(progress.outage), style="bold red"))
        return Group(*parts)

    @staticmethod
    def _processes(progress: Progress, pids: dict[str, int]) -> Table:
        latest = progress.latest
        asked = [v.queried_accuracy for v in progress.versions.values() if v.queried_accuracy is not None]
        now = {
            "train.py": f"step {latest.step}" if latest else "loading PyTorch",
            "serve": f"{progress.requests:,} answers",
            "query.py": f"{percent(asked[-1])} right" if asked else "",
            "tensorbrokerd": f"{progress.stats['sessions']} processes attached" if progress.stats else "",
        }
        table = Table(box=None, pad_edge=False)
        for heading in ("process", "pid", "what it does", "now"):
            table.add_column(heading, no_wrap=True, justify="right" if heading == "pid" else "left")
        for name, task in TASKS.items():
            table.add_row(name, str(pids.get(name, "")), task, now[name])
        return table

    @staticmethod
    def _bar(progress: Progress) -> Table:
        epoch = progress.latest.epoch if progress.latest else 0
        table = Table.grid(padding=(0, 1))
        table.add_row(
            "training",
            ProgressBar(total=progress.epochs, completed=epoch, width=40),
            f"epoch {epoch}/{progress.epochs}",
        )
        return table

    @staticmethod
    def _versions(progress: Progress) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("epoch", "step", "version", "in PyTorch", "in C++", "put took", "first answer"):
            table.add_column(heading, no_wrap=True, justify="right")
        for version in list(progress.versions.values())[-ROWS:]:
            table.add_row(
                str(version.epoch),
                str(version.step),
                str(version.number),
                percent(version.accuracy),
                Text(percent(version.queried_accuracy), style="green"),
                milliseconds(version.put_seconds),
                milliseconds(version.first_answer),
            )
        for _ in range(ROWS - table.row_count):
            table.add_row()
        return table

    @staticmethod
    def _memory(progress: Progress) -> Text:
        if progress.copied_bytes is None:
            return Text("waiting for the first version")
        return Text(
            f"{progress.weights_bytes:,} bytes of weights in each version, mapped by serve where train.py put them: "
            f"{progress.copied_bytes:,} bytes copied for reading"
        )


def make_display(console: Console) -> Display:
    """Return the display that suits where the output goes."""
    return Screen(console) if console.is_terminal else Lines()

"""What is known of a run of the demo so far: put together from what its processes say, and checked at the end."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

REQUIRED_ACCURACY = 0.95


@dataclass
class Version:
    """One published version of the model, and what became of it. Absent values are not known yet."""

    number: int
    epoch: int
    step: int
    accuracy: float  # as train.py computed it, with PyTorch
    put_seconds: float
    served_accuracy: float | None = None  # as serve counted it, with Eigen
    queried_accuracy: float | None = None  # as query.py counted it
    first_answer: float | None = None  # seconds from put returning


@dataclass
class Outage:
    """What happened when the broker was killed."""

    killed: int  # process id
    after_epoch: int
    successor: int | None = None  # process id
    seconds: float | None = None  # without a broker
    answered: int = 0  # requests in that time
    put_seconds: float | None = None  # what train.py's next put took


@dataclass
class Progress:
    """Everything that the display shows and the summary says."""

    epochs: int
    versions: dict[int, Version] = field(default_factory=dict)  # in the order of their numbers
    heldout_images: int = 0  # 0 before train.py has said so
    requests: int = 0
    swapped: int = 0
    weights_bytes: int = 0
    copied_bytes: int | None = None  # None before serve has said so
    stats: dict[str, Any] = field(default_factory=dict)  # the broker's
    outage: Outage | None = None
    early: list[dict[str, Any]] = field(default_factory=list)  # about versions that train.py did not tell of yet

    @property
    def latest(self) -> Version | None:
        """The newest version that was published."""
        return next(reversed(self.versions.values()), None)

    @property
    def finished(self) -> bool:
        """Whether the last epoch's model was published, served and asked about, and an outage is over."""
        last = self.latest
        if last is None or last.epoch < self.epochs or last.served_accuracy is None or last.queried_accuracy is None:
            return False
        return self.outage is None or self.outage.successor is not None

    def note(self, event: dict[str, Any]) -> None:
        """Take in one line of train.py, serve or query.py."""
        kind = event["event"]
        if kind == "data":
            self.heldout_images = event["heldout_images"]
        elif kind == "published":
            self._published(event)
        elif kind in ("served", "accuracy"):
            self._used(event)

    def _published(self, event: dict[str, Any]) -> None:
        number, put_seconds = event["version"], event["put_seconds"]
        self.versions[number] = Version(number, event["epoch"], event["step"], event["accuracy"], put_seconds)
        if self.outage is not None and self.outage.put_seconds is None:
            self.outage.put_seconds = put_seconds
        early, self.early = self.early, []
        for waiting in early:
            self._used(waiting)

    def _used(self, event: dict[str, Any]) -> None:
        version = self.versions.get(event["version"])
        if version is None:  # the line of another process overtook train.py's
            self.early.append(event)
        elif event["event"] == "accuracy":
            version.queried_accuracy = event["accuracy"]
        else:
            version.served_accuracy = event["accuracy"]
            version.first_answer = None if event["latency_ns"] is None else event["latency_ns"] / 1e9
            self.swapped += 1
            self.weights_bytes = event["nbytes"]
            self.copied_bytes = (self.copied_bytes or 0) + event["copied_bytes"]

    def failures(self) -> Iterator[str]:
        """Yield what is not as it should be at the end of a run."""
        last = self.latest
        if last is None or not self.finished:
            yield "the last epoch's model was not published, served and asked about"
            return
        if last.queried_accuracy is None or last.queried_accuracy < REQUIRED_ACCURACY:
            yield f"final accuracy {last.queried_accuracy} is below {REQUIRED_ACCURACY}"
        if last.served_accuracy is None or abs(last.served_accuracy - last.accuracy) * self.heldout_images > 1.5:
            yield f"serve computes an accuracy of {last.served_accuracy}, train.py of {last.accuracy}"
        if self.copied_bytes != 0:
            yield f"{self.copied_bytes} bytes were copied for reading"
        if self.outage is not None:
            yield from self._outage_failures(self.outage)

    @staticmethod
    def _outage_failures(outage: Outage) -> Iterator[str]:
        if outage.successor is None or outage.put_seconds is None:
            yield f"no put went through after the broker (pid {outage.killed}) was killed"
        if outage.answered == 0:
            yield "no request was answered while there was no broker"

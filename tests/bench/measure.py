"""What a target is made of: a figure, or several figures of one run, a bound, and the limit that it stands against."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from figures import SHOW, Figures, spread


@dataclass(frozen=True)
class Measure:
    """A number computed from figures: each value of the first one is combined with the medians of the others."""

    keys: tuple[str, ...]
    combine: Callable[..., float]
    text: str

    def samples(self, figures: Figures) -> list[float]:
        """Return its values; none where a figure is missing."""
        if any(key not in figures.values for key in self.keys):
            return []
        others = [figures.median(key) for key in self.keys[1:]]
        return [self.combine(value, *others) for value in figures.values[self.keys[0]]]


def of(key: str) -> Measure:
    """Return the figure itself."""
    return Measure((key,), lambda value: value, f"`{key}`")


def ratio(over: str, under: str) -> Measure:
    """Return how many times the second the first one is."""
    return Measure((over, under), lambda a, b: a / b, f"`{over}` / `{under}`")


def speed(ours: str, limit: str) -> Measure:
    """Return our rate over the limit's, of two times for the same bytes."""
    return Measure((ours, limit), lambda a, b: b / a, f"`{limit}` / `{ours}`")


def beyond(whole: str, part: str) -> Measure:
    """Return what a time takes beyond another one."""
    return Measure((whole, part), lambda a, b: a - b, f"`{whole}` - `{part}`")


@dataclass(frozen=True)
class Peers:
    """How many times longer the best peer takes than this project, in one workload."""

    what: str

    @property
    def text(self) -> str:
        """Say how it is computed."""
        return f"least of `peer/*/{self.what}` / `peer/tensorbroker/{self.what}`"

    def samples(self, figures: Figures) -> list[float]:
        """Return its values; none where there are no peers."""
        medians = {key: figures.median(key) for key in figures.values if key.endswith(f"/{self.what}")}
        ours = f"peer/tensorbroker/{self.what}"
        others = [value for key, value in medians.items() if key.startswith("peer/") and key != ours]
        if not others or ours not in medians:
            return []
        return [min(others) / value for value in figures.values[ours]]


@dataclass(frozen=True)
class Target:
    """One promise about speed or size."""

    group: str
    name: str
    measure: Measure | Peers
    sign: Literal["≤", "≥"]
    bound: float
    unit: str  # of figures.SHOW
    against: str  # the limit of the machine, or of its users, that the bound stands against
    rest: str = ""  # what the rest of the time is spent on, what it would take; empty where that is not known
    absent: str = "not measured"

    def show_bound(self) -> str:
        """Return the bound as it is printed."""
        return f"{self.sign} {SHOW[self.unit](self.bound)}"


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured."""

    target: Target
    samples: list[float]

    @property
    def median(self) -> float:
        """The figure that counts. REQUIRES: it was measured."""
        return statistics.median(self.samples)

    @property
    def figure(self) -> str:
        """The figure as it is printed."""
        return SHOW[self.target.unit](self.median) if self.samples else self.target.absent

    @property
    def spread(self) -> str:
        """The smallest and the largest value as they are printed."""
        return spread(self.samples, self.target.unit) if self.samples else ""

    @property
    def reached(self) -> bool | None:
        """Whether the median is within the bound; None where there is none."""
        if not self.samples:
            return None
        return self.median <= self.target.bound if self.target.sign == "≤" else self.median >= self.target.bound

    @property
    def word(self) -> str:
        """The same in words."""
        return {True: "reached", False: "not reached", None: self.target.absent}[self.reached]


def judge(targets: list[Target], figures: Figures) -> list[Verdict]:
    """Return each target beside its figure."""
    return [Verdict(target, target.measure.samples(figures)) for target in targets]

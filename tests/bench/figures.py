"""What a run has measured: for each figure its values, one a repetition, and what could not be measured."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

MIB = 1 << 20


@dataclass
class Figures:
    """The values of each figure: times in nanoseconds, memory in bytes. Keys: cpp/…, py/…, peer/NAME/…"""

    values: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)

    def add(self, prefix: str, values: Mapping[str, list[float]]) -> None:
        """Take in what one program has measured."""
        self.values |= {f"{prefix}/{key}": list(samples) for key, samples in values.items() if samples}

    def median(self, key: str) -> float:
        """Return the median of a figure that there is."""
        return statistics.median(self.values[key])

    def save(self, path: Path) -> None:
        """Write everything, for `run.py --from`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Figures:
        """Read what save() wrote."""
        return cls(**json.loads(path.read_text()))


def show_ns(ns: float) -> str:
    """Return a time with a unit that suits it."""
    for limit, scale, unit in ((1e3, 1.0, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if abs(ns) < limit:
            return f"{ns / scale:.3g} {unit}"
    return f"{ns / 1e9:.3g} s"


def show_bytes(nbytes: float) -> str:
    """Return a size with a unit that suits it."""
    return f"{nbytes:.0f} B" if nbytes < MIB else f"{nbytes / MIB:.1f} MiB"


def show_count(count: float) -> str:
    """Return a number with its thousands apart."""
    return f"{count:,.0f}" if count >= 100 or count == int(count) else f"{count:.2f}"


SHOW: dict[str, Callable[[float], str]] = {
    "time": show_ns,
    "ratio": lambda ratio: f"{ratio:.2f}",
    "rate": lambda rate: f"{show_count(rate)}/s",
    "bytes": show_bytes,
    "count": show_count,
}


def unit_of(key: str) -> str:
    """Return what a figure is, by the last word of its key."""
    last = key.rsplit("/", 1)[-1]
    for ending, unit in (("ratio", "ratio"), ("over_three", "ratio"), ("rate", "rate"), ("_per_s", "rate")):
        if last.endswith(ending):
            return unit
    if last.endswith("bytes") or last in ("live", "used"):
        return "bytes"
    counts = ("connected", "holding", "operations", "other_calls", "other_late")
    return "count" if last in counts else "time"


def spread(values: list[float], unit: str) -> str:
    """Return the smallest and the largest of several values; nothing of one."""
    if len(values) < 2:
        return "one"
    return f"{SHOW[unit](min(values))} .. {SHOW[unit](max(values))}"

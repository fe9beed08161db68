"""What every name may hold, from what its one writer said before and after each of its calls.

A writer that dies between the two, or whose call ended with an unknown outcome, leaves both possibilities.
"""

from dataclasses import dataclass, field

ABSENT = -1


@dataclass
class History:
    """By name, the sequence numbers of the versions that may be there now; ABSENT for none."""

    possible: dict[str, set[int]] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)
    done: int = 0  # calls that ended well

    def record(self, word: str, name: str, sequence: int) -> None:
        """Take one report of a writer: begin, done, failed (without effect) or unknown."""
        if word == "begin":
            self.possible.setdefault(name, {ABSENT})
            self.pending[name] = sequence
            return
        del self.pending[name]
        if word == "done":
            self.possible[name] = {sequence}
            self.done += 1
        elif word == "unknown":
            self.possible[name].add(sequence)

    def writer_died(self, prefix: str) -> None:
        """Its call in progress, if any, may have taken effect or not."""
        for name in [name for name in self.pending if name.startswith(prefix)]:
            self.possible[name].add(self.pending.pop(name))

    def lose_all(self) -> None:
        """A cleaner of /dev/shm was there: any name may be gone."""
        for sequences in self.possible.values():
            sequences.add(ABSENT)

    def settle(self, found: dict[str, int]) -> list[str]:
        """Compare with what is there now, take that as known from here on, and return what cannot be."""
        wrong = [f"{name} is there and was never put" for name in found if name not in self.possible]
        for name, sequences in self.possible.items():
            now = found.get(name, ABSENT)
            if now not in sequences:
                wrong.append(f"{name} holds {now}; it may hold {sorted(sequences)}")
            self.possible[name] = {now}
        return wrong

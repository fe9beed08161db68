"""Writes docs/performance.md from a run's figures."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from figures import SHOW, Figures, show_ns, spread, unit_of
from measure import Verdict
from peer_runs import PEERS
from plots import write_plots
from report import cell, peer_names
from rows import OPERATIONS, PLACED, PLACES, WORKLOAD

BUSY = 0.5  # the load before a run above which others used the processors

HEAD = """# Performance

What was measured in one run of `make bench` beside what is wanted. `make bench UPDATE=1` writes this page and its
plots; the targets are declared in [tests/bench/targets.py](../tests/bench/targets.py).

## How it was measured

Every figure is the median over repetitions of the benchmark, of which most are themselves the median of hundreds to
thousands of calls; beside it stand the smallest and the largest repetition, or "one" where there was only one. Where a
target stands against a limit of the machine (a memcpy, a socket round trip, a futex wake-up, dependent loads), the
limit is measured in the same run, and the spread is that of the figure over the limit's median. The repetitions of the
C++ benchmarks that take no million tensors come in random order, so that what else the machine does meets a figure and
its limit alike. Figures of Python are those of whole calls, without what an empty call takes.
"""
PLACED_HEAD = """## Where the processes sit

On one core a wake-up is a change of context, on two it is an interrupt to the other core, which has gone to sleep. On
two cores the benchmark's process sits on one, and the broker, or the peer of the socket or futex, on the other.
"""
PEERS_HEAD = """## Peers

One workload in Python ([tests/bench/peers](../tests/bench/peers)): a NumPy array of 4 KiB is published and read by name
by somebody who does not hold it, one of 256 MiB is published and freed, and 300 of 64 KiB are published one by one. A
blank is what a peer does not do.
"""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [headings, ["---"] + ["---:"] * (len(headings) - 1), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def machine_section(figures: Figures) -> str:
    """What the run was made on, and whether it had that for itself."""
    text = table(("on", ""), list(figures.machine.items()))
    load = float(figures.machine.get("load before the run", 0))
    if load <= BUSY:
        return text
    return f"{text}\nOther programs used the processors too (load {load} before the run): times are too long.\n"


def target_rows(verdicts: Iterable[Verdict]) -> list[tuple[str, ...]]:
    """One row a target."""
    return [(v.target.name, v.target.show_bound(), v.figure, v.spread, v.word if v.samples else "") for v in verdicts]


def target_notes(verdicts: Iterable[Verdict]) -> str:
    """What each target stands against, and what the rest of the time goes to, as far as that is known."""
    notes = []
    for verdict in verdicts:
        target = verdict.target
        text = f"- {target.name}: {target.measure.text}. Stands against: {target.against}."
        notes.append(f"{text} {target.rest}".rstrip() if target.rest else text)
    return "\n".join(notes) + "\n"


def targets_section(verdicts: list[Verdict]) -> str:
    """All targets, by group."""
    reached = sum(v.reached is True for v in verdicts)
    missed = sum(v.reached is False for v in verdicts)
    parts = [f"{reached} are reached, {missed} are not, {len(verdicts) - reached - missed} were not measured.\n"]
    headings = ("target", "bound", "measured", "smallest .. largest", "")
    for group, members in itertools.groupby(verdicts, lambda v: v.target.group):
        of_group = list(members)
        parts.append(f"### {group}\n\n{table(headings, target_rows(of_group))}\n{target_notes(of_group)}")
    return "\n".join(parts)


def peers_section(figures: Figures) -> str:
    """The peers, and who is missing."""
    headings = ["", *(label for label, _ in WORKLOAD)]
    rows = []
    for name in peer_names(figures):
        keys = [f"peer/{name}/{key}" for _, key in WORKLOAD]
        rows.append([name, *(show_ns(figures.median(key)) if key in figures.values else "" for key in keys)])
    packages = [f"{peer.name} ({', '.join(peer.packages)})" for peer in PEERS if peer.name in peer_names(figures)]
    ran = f"\nThey ran with: {'; '.join(packages)}.\n" if packages else "\nNo peer was run.\n"
    missing = [f"- {key.removeprefix('peer/')} {why}\n" for key, why in figures.failures.items() if key[:5] == "peer/"]
    return table(headings, rows) + ran + ("\n" + "".join(missing) if missing else "")


def all_figures(figures: Figures) -> str:
    """Every figure under its key."""
    rows = []
    for key, values in sorted(figures.values.items()):
        unit = unit_of(key)
        rows.append((f"`{key}`", SHOW[unit](figures.median(key)), spread(values, unit), str(len(values))))
    return table(("figure", "median", "smallest .. largest", "repetitions"), rows)


def write_page(docs: Path, figures: Figures, verdicts: list[Verdict]) -> Path:
    """Write the page and its plots."""
    plots = write_plots(docs / "performance", figures, verdicts)
    images = {name: f"![{text}](performance/{name})\n" for name, text in plots.items()}
    operations = [(label, cell(figures, f"cpp/{cpp}"), cell(figures, f"py/{py}")) for label, cpp, py in OPERATIONS]
    placed = [(label, *(cell(figures, f"cpp/{under}{key}") for _, under in PLACES)) for label, key in PLACED]
    failed = [f"- `{key}`: {why}\n" for key, why in figures.failures.items() if not key.startswith("peer/")]
    parts = [
        HEAD,
        machine_section(figures),
        "## Targets\n",
        images["targets.svg"],
        targets_section(verdicts),
        "## Operations\n",
        table(("operation", "C++", "Python"), operations),
        PLACED_HEAD,
        images["placed.svg"],
        table(("operation", *(name for name, _ in PLACES)), placed),
        PEERS_HEAD,
        images.get("peers.svg", ""),
        peers_section(figures),
        *(["## What failed\n", "".join(failed)] if failed else []),
        "## All figures\n",
        all_figures(figures),
    ]
    path = docs / "performance.md"
    path.write_text("\n".join(part for part in parts if part))
    return path

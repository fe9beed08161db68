"""The tables that `make bench` prints."""

from __future__ import annotations

from figures import Figures, show_ns, spread
from measure import Verdict
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rows import OPERATIONS, PLACED, PLACES, WORKLOAD

STYLE = {True: "green", False: "red", None: "dim"}


def cell(figures: Figures, key: str) -> str:
    """Return a time and its spread; nothing where it was not measured."""
    if key not in figures.values:
        return ""
    return f"{show_ns(figures.median(key))} ({spread(figures.values[key], 'time')})"


def table_of(title: str, headings: list[str]) -> Table:
    """Return an empty table whose first column holds words."""
    table = Table(title=title, title_justify="left")
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left")
    return table


def operations(figures: Figures) -> Table:
    """What the operations take in both languages."""
    table = table_of("medians (smallest .. largest of the repetitions)", ["operation", "C++", "Python"])
    for label, cpp, py in OPERATIONS:
        table.add_row(label, cell(figures, f"cpp/{cpp}"), cell(figures, f"py/{py}"))
    return table


def placed(figures: Figures) -> Table:
    """What they take on one core and on two, in C++."""
    table = table_of("where the processes sit (C++)", ["operation", *(name for name, _ in PLACES)])
    for label, key in PLACED:
        table.add_row(label, *(cell(figures, f"cpp/{under}{key}") for _, under in PLACES))
    return table


def peer_names(figures: Figures) -> list[str]:
    """Return those who ran the workload, this project first."""
    names = {key.split("/")[1] for key in figures.values if key.startswith("peer/")}
    return sorted(names, key=lambda name: (name != "tensorbroker", name.lower()))


def peers(figures: Figures) -> Table:
    """What the peers take for one workload."""
    table = table_of("the same workload for all (Python)", ["peer", *(label for label, _ in WORKLOAD)])
    for name in peer_names(figures):
        times = (f"peer/{name}/{key}" for _, key in WORKLOAD)
        table.add_row(name, *(show_ns(figures.median(key)) if key in figures.values else "" for key in times))
    return table


def targets(verdicts: list[Verdict]) -> Table:
    """Each target beside its figure."""
    table = Table(title="targets", title_justify="left")
    for heading in ("target", "bound", "measured", "smallest .. largest", ""):
        table.add_column(heading, justify="left" if heading in ("target", "") else "right")
    group = ""
    for verdict in verdicts:
        if verdict.target.group != group:
            group = verdict.target.group
            table.add_section()
            table.add_row(Text(group, style="bold"))
        word = Text("" if verdict.reached is None else verdict.word, style=STYLE[verdict.reached])
        row = verdict.target.name, verdict.target.show_bound(), verdict.figure, verdict.spread
        table.add_row(*row, word)
    return table


def show(console: Console, figures: Figures, verdicts: list[Verdict]) -> None:
    """Print everything."""
    console.print(
        ", ".join(f"{name}: {value}" for name, value in figures.machine.items()), style="dim", highlight=False
    )
    for table in (operations(figures), placed(figures), peers(figures), targets(verdicts)):
        console.print(table)
    for what, why in figures.failures.items():
        console.print(Text(f"{what}: {why}", style="red"))
    reached = sum(verdict.reached is True for verdict in verdicts)
    missed = sum(verdict.reached is False for verdict in verdicts)
    console.print(f"{reached} targets reached, {missed} not reached, {len(verdicts) - reached - missed} not measured")

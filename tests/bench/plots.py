"""The plots of docs/performance.md, as SVG."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib as mpl
from figures import Figures
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from measure import Verdict
from report import peer_names
from rows import PLACED, PLACES

mpl.use("svg")
# Text as text, and the same file from the same figures.
mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "tensorbroker", "font.size": 9, "axes.axisbelow": True}

OURS, OTHERS, REACHED, MISSED = "#1f77b4", "#b0b0b0", "#2a8a4a", "#c0392b"
PLACE_COLOURS = (OURS, "#e6a23c", "#7f6fb0")


def whiskers(values: list[float], middle: float) -> list[list[float]]:
    """Return how far the values reach from the median to both sides."""
    return [[middle - min(values)], [max(values) - middle]]


def bar(axes: Axes, at: float, values: list[float], colour: str, height: float = 0.7, unit: float = 1e3) -> None:
    """Draw a median, in microseconds or another unit, with its spread."""
    scaled = [value / unit for value in values]
    middle = statistics.median(scaled)
    axes.barh(at, middle, height, color=colour, xerr=whiskers(scaled, middle), ecolor="#333333")


def plot_peers(figures: Figures) -> Figure:
    """Draw reading and writing beside the peers."""
    columns = (
        ("get", "get 4 KiB", "µs", 1e3),
        ("put_and_free", "put and free 4 KiB", "µs", 1e3),
        ("publish_300", "publish 300 of 64 KiB", "ms", 1e6),
    )
    names = [name for name in peer_names(figures) if f"peer/{name}/get" in figures.values]
    figure, all_axes = plt.subplots(1, 3, figsize=(10, 0.6 + 0.38 * len(names)), sharey=True, layout="constrained")
    for axes, (key, title, label, unit) in zip(all_axes, columns):
        for at, name in enumerate(names):
            colour = OURS if name == "tensorbroker" else OTHERS
            bar(axes, at, figures.values[f"peer/{name}/{key}"], colour, unit=unit)
        axes.set(title=title, xlabel=label, yticks=range(len(names)), yticklabels=names)
        axes.grid(axis="x", alpha=0.3)
    all_axes[0].invert_yaxis()
    return figure


def plot_placed(figures: Figures) -> Figure:
    """Draw what the place of the processes does."""
    rows = [(label, key) for label, key in PLACED if "256 MiB" not in label]
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.5 * len(rows)), layout="constrained")
    for at, (_, key) in enumerate(rows):
        for i, ((_, under), colour) in enumerate(zip(PLACES, PLACE_COLOURS)):
            full = f"cpp/{under}{key}"
            if full in figures.values:
                bar(axes, at + (i - 1) * 0.26, figures.values[full], colour, 0.24)
    axes.set(xlabel="µs", yticks=range(len(rows)), yticklabels=[label for label, _ in rows])
    axes.legend([Rectangle((0, 0), 1, 1, color=colour) for colour in PLACE_COLOURS], [name for name, _ in PLACES])
    axes.grid(axis="x", alpha=0.3)
    axes.invert_yaxis()
    return figure


def plot_targets(verdicts: list[Verdict]) -> Figure:
    """Draw each figure over its bound, turned so that less is better."""
    measured = [v for v in verdicts if v.samples and v.target.bound > 0 and v.median > 0]
    figure, axes = plt.subplots(figsize=(10, 1 + 0.22 * len(measured)), layout="constrained")
    for at, verdict in enumerate(measured):
        over = verdict.median / verdict.target.bound
        position = over if verdict.target.sign == "≤" else 1 / over
        axes.plot([1, position], [at, at], color=OTHERS, linewidth=1)
        axes.plot(position, at, "o", color=REACHED if verdict.reached else MISSED, markersize=5)
    axes.axvline(1, color="#333333", linewidth=1)
    axes.set(xscale="log", xlabel="figure over bound: left of the line is reached", ylim=(len(measured), -1))
    axes.set(yticks=range(len(measured)), yticklabels=[v.target.name for v in measured])
    axes.grid(axis="x", alpha=0.3)
    return figure


def write_plots(folder: Path, figures: Figures, verdicts: list[Verdict]) -> dict[str, str]:
    """Write them, and return for each file what it shows."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = {"targets.svg": (plot_targets(verdicts), "Each figure over its bound")}
    plots["placed.svg"] = plot_placed(figures), "Times by where the processes sit"
    if "peer/tensorbroker/get" in figures.values:
        plots["peers.svg"] = plot_peers(figures), "Times beside those of the peers"
    for name, (figure, _) in plots.items():
        figure.savefig(folder / name, metadata={"Date": None})
        plt.close(figure)
        # matplotlib leaves blanks at the ends of lines.
        lines = (folder / name).read_text().splitlines()
        (folder / name).write_text("".join(line.rstrip() + "\n" for line in lines))
    return {name: text for name, (_, text) in plots.items()}

"""`make bench`: the benchmarks of both languages and the peers, each target beside its figure.

    run.py [--no-peers] [--operations N] [--only WORD] [--update] [--from FILE]

Runs Google Benchmark's binary (C++), python_bench.py and python_rest.py in instances of their own, and the peers. What
was measured goes to build/bench/figures.json; --from reads such a file instead of measuring, and --update writes
docs/performance.md and its plots.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cpp
import machine
import report
from figures import Figures
from measure import judge
from peer_runs import run_peers
from rich.console import Console
from targets import TARGETS

HERE = Path(__file__).resolve().parent
FIGURES = cpp.ROOT / "build" / "bench" / "figures.json"
PYTHON_LIMIT = 600  # seconds for one program


def run_python(program: str, figures: Figures) -> None:
    """Run a program of Python benchmarks; what fails is missing, and said."""
    try:
        command = [sys.executable, str(HERE / program)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=PYTHON_LIMIT)
        figures.add("py", json.loads(done.stdout))
    except (subprocess.SubprocessError, json.JSONDecodeError) as error:
        figures.failures[f"py/{program}"] = type(error).__name__


def stages(with_peers: bool, figures: Figures) -> dict[str, Callable[[], None]]:
    """Return what there is to run, in its order."""
    every: dict[str, Callable[[], None]] = {
        f"cpp {which.under}{which.wanted}": lambda which=which: cpp.run_pass(which, figures)  # type: ignore[misc]
        for which in cpp.PASSES
    }
    every["python rest"] = lambda: run_python("python_rest.py", figures)
    every["python"] = lambda: run_python("python_bench.py", figures)
    if with_peers:
        every["peers"] = lambda: run_peers(figures)
    return every


def measure(options: argparse.Namespace, console: Console) -> Figures:
    """Run everything, or what has the wanted word in its name."""
    figures = Figures(machine=machine.describe())
    if options.operations:
        os.environ["TENSORBROKER_BENCH_OPERATIONS"] = str(options.operations)
    begin = time.monotonic()
    for name, run in stages(options.peers, figures).items():
        if options.only in name:
            console.print(f"[{time.monotonic() - begin:.0f} s] {name}", style="dim", highlight=False, markup=False)
            run()
    figures.machine["the run took"] = f"{time.monotonic() - begin:.0f} s"
    figures.machine["load after the run"] = f"{os.getloadavg()[0]:.2f}"
    figures.save(FIGURES)
    return figures


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="leave the peers out")
    parser.add_argument("--operations", type=int, help="creations and deletions that fragment memory (100000)")
    parser.add_argument("--only", default="", help="run the stages that have this word in their names")
    parser.add_argument("--update", action="store_true", help="write docs/performance.md")
    parser.add_argument("--from", dest="source", type=Path, help="take the figures of an earlier run")
    return parser.parse_args()


def main() -> int:
    """Measure, print, and write the page where that is wanted."""
    options = parse()
    console = Console(width=160 if not sys.stdout.isatty() else None)
    if not cpp.BENCH.exists():
        console.print(f"{cpp.BENCH.relative_to(cpp.ROOT)} is not there: run `make build` first")
        return 1
    figures = Figures.load(options.source) if options.source else measure(options, console)
    verdicts = judge(TARGETS, figures)
    report.show(console, figures, verdicts)
    if options.update:
        from page import write_page  # needs matplotlib

        console.print(f"wrote {write_page(cpp.ROOT / 'docs', figures, verdicts).relative_to(cpp.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

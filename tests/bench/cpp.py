"""Runs the C++ benchmarks: every repetition's figures, also with all processes on one core and on one each."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from figures import Figures

ROOT = Path(__file__).resolve().parent.parent.parent
BENCH = ROOT / "build" / "tests" / "bench" / "tensorbroker_bench"
DAEMON = ROOT / "build" / "broker" / "tensorbrokerd"
LOG = ROOT / "build" / "bench" / "cpp.log"
LIMIT = 900  # seconds for one pass, and those for each operation that fragments memory
SECONDS_AN_OPERATION = 2e-4
NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
COUNTER = re.compile(r"(?P<name>\w+?)(__\d+)?")  # rate__0, rate__1, …: the values of one figure
NOT_COUNTERS = {
    "family_index",
    "per_family_instance_index",
    "repetitions",
    "repetition_index",
    "threads",
    "iterations",
    "real_time",
    "cpu_time",
    "bytes_per_second",
}

MILLION = "million|three_dependent|kill_to_put/1000000"
PLACED = "memcpy_warm/268435456|put_replacing/268435456|socket_round_trip|put_and_delete|asleep|put_to_wake|futex"


@dataclass(frozen=True)
class Pass:
    """Benchmarks that run in one process."""

    wanted: str  # a regular expression; with a leading "-" of what is left out
    repetitions: int
    under: str = ""  # what the keys are put under
    on_one_core: bool = False
    apart: bool = False
    extra: list[str] = field(default_factory=list)


PASSES = [
    # Interleaved, so that what else the machine does meets a figure and its limit alike.
    Pass(f"-{MILLION}|beside", 5, extra=["--benchmark_enable_random_interleaving=true"]),
    Pass(PLACED, 5, under="one_core/", on_one_core=True),
    Pass(PLACED, 5, under="two_cores/", apart=True),
    Pass(MILLION, 3),
    Pass("beside", 3),
]


def key_of(run_name: str) -> str:
    """Return a benchmark's name without how it was run."""
    return re.sub(r"/(real_time|manual_time|iterations:\d+|repeats:\d+)", "", run_name)


def collect(rows: list[dict[str, Any]], under: str, figures: Figures) -> None:
    """Take the time and the counters of every repetition."""
    values: dict[str, list[float]] = {}
    for row in rows:
        key = under + key_of(row["run_name"])
        if row["run_type"] != "iteration":
            continue
        if row.get("error_occurred"):
            figures.failures[f"cpp/{key}"] = row["error_message"]
            continue
        values.setdefault(key, []).append(row["real_time"] * NANOSECONDS[row["time_unit"]])
        for counter, value in row.items():
            match = COUNTER.fullmatch(counter)
            if match and counter not in NOT_COUNTERS and isinstance(value, int | float):
                values.setdefault(f"{key}/{match['name']}", []).append(value)
    figures.add("cpp", values)


def command_of(which: Pass, out: str) -> list[str]:
    """Return the command that runs a pass and writes its figures to a file."""
    command = [str(BENCH), f"--benchmark_filter={which.wanted}", f"--benchmark_repetitions={which.repetitions}"]
    command += [f"--benchmark_out={out}", "--benchmark_out_format=json", "--benchmark_min_time=0.1", *which.extra]
    if which.on_one_core:
        return ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), *command]
    return command


def run_pass(which: Pass, figures: Figures) -> None:
    """Run the benchmarks of one pass; what fails is missing, and said."""
    environment = os.environ | {"TENSORBROKER_DAEMON": str(DAEMON), "TENSORBROKER_BENCH_PYTHON": sys.executable}
    if which.apart:
        environment["TENSORBROKER_BENCH_APART"] = "1"
    limit = LIMIT + SECONDS_AN_OPERATION * int(environment.get("TENSORBROKER_BENCH_OPERATIONS", 0))
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(suffix=".json") as out, LOG.open("a") as log:
        command = command_of(which, out.name)
        try:
            subprocess.run(command, check=True, stdout=log, stderr=log, env=environment, timeout=limit)
            collect(json.loads(Path(out.name).read_text())["benchmarks"], which.under, figures)
        except (OSError, subprocess.SubprocessError, json.JSONDecodeError) as error:
            shown = LOG.relative_to(ROOT)
            figures.failures[f"cpp/{which.under}{which.wanted}"] = f"{type(error).__name__}; {shown} has the rest"

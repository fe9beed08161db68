"""The benchmarks of both languages in one table: `make bench`.

Runs Google Benchmark's binary (C++) and python_bench.py in instances of their own, and prints each figure beside the
limit of the machine that it stands against, measured in the same run. Times are medians over repetitions.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CPP_BENCH = ROOT / "build" / "tests" / "bench" / "tensorbroker_bench"
DAEMON = ROOT / "build" / "broker" / "tensorbrokerd"

LARGE = 256 << 20


def run_cpp() -> dict[str, float]:
    """The median real time in nanoseconds of each C++ benchmark."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run(
            [
                str(CPP_BENCH),
                "--benchmark_repetitions=5",
                "--benchmark_report_aggregates_only=true",
                f"--benchmark_out={out.name}",
                "--benchmark_out_format=json",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "TENSORBROKER_DAEMON": str(DAEMON)},
            timeout=900,
        )
        report = json.loads(Path(out.name).read_text())
    unit = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
    medians: dict[str, float] = {}
    for row in report["benchmarks"]:
        if row.get("aggregate_name") == "median":
            name = row["run_name"].split("/real_time")[0].split("/iterations:")[0]
            medians[name] = row["real_time"] * unit[row["time_unit"]]
            medians |= {f"{name}/{counter}": row[counter] for counter in row if counter.endswith("_ratio")}
    return medians


def run_python() -> dict[str, float]:
    """The median time in nanoseconds of each Python benchmark."""
    done = subprocess.run(
        [sys.executable, str(HERE / "python_bench.py")], check=True, stdout=subprocess.PIPE, text=True, timeout=900
    )
    medians: dict[str, float] = json.loads(done.stdout)
    return medians


def show(ns: float) -> str:
    for limit, scale, unit in ((1e3, 1.0, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if ns < limit:
            return f"{ns / scale:.3g} {unit}"
    return f"{ns / 1e9:.3g} s"


def rate(ns: float, nbytes: int) -> str:
    return f"{nbytes / ns:.2f} GB/s"


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def build_table(cpp: dict[str, float], py: dict[str, float]) -> Table:
    socket = cpp["socket_round_trip"]
    table = Table(title="tensorbroker: medians, beside what the machine can do in the same run", title_justify="left")
    for heading in ("operation", "C++", "Python", "beside", "expected"):
        table.add_column(heading, justify="left" if heading == "operation" else "right")

    def against_memcpy(size: int) -> str:
        return f"memcpy {show(cpp[f'memcpy_warm/{size}'])}"

    def ratio(bench: dict[str, float], copy: str, put: str) -> float:
        return bench[copy] / bench[put]

    round_trip = f"socket round trip {show(socket)}"
    table.add_row(
        "get by name, not held (Python: to a NumPy view)",
        show(cpp["get_by_name"]),
        show(py["get_numpy"]),
        round_trip,
        "C++ ≤ 200 ns, Python ≤ 3 µs",
    )
    table.add_row("get a bundle of 300 tensors", show(cpp["get_bundle_of_300"]), show(py["get_bundle"]), round_trip, "")
    table.add_row(
        "  and a view of every member",
        show(cpp["get_bundle_of_300_and_every_view"]),
        show(py["get_bundle_views"]),
        "",
        "",
    )
    for size, label in ((4096, "4 KiB"), (65536, "64 KiB")):
        table.add_row(
            f"put {label}, replacing",
            show(cpp[f"put_replacing/{size}"]),
            show(py[f"put_{size}"]),
            f"{against_memcpy(size)}, {round_trip}",
            "",
        )
    cpp_ratio = ratio(cpp, f"memcpy_warm/{LARGE}", f"put_replacing/{LARGE}")
    py_ratio = ratio(py, "memcpy_large", "put_large")
    table.add_row(
        "put 256 MiB, warm",
        f"{rate(cpp[f'put_replacing/{LARGE}'], LARGE)} = {cpp_ratio:.2f} memcpy",
        f"{rate(py['put_large'], LARGE)} = {py_ratio:.2f} memcpy",
        f"memcpy {rate(cpp[f'memcpy_warm/{LARGE}'], LARGE)}",
        "≥ 0.9 memcpy",
    )
    table.add_row("create 1 GiB, warm", show(cpp["create_1gib_warm"]), show(py["create_1gib"]), "", "")
    table.add_row(
        "put to wake in another process",
        show(cpp["put_to_wake"]),
        show(py["put_to_wake"]),
        round_trip,
        "",
    )
    for count, label, limit in ((1000, "1,000", "≤ 250 ms"), (1_000_000, "1,000,000", "≤ 2 s")):
        table.add_row(
            f"broker's SIGKILL to a put's return, {label} tensors", show(cpp[f"kill_to_put/{count}"]), "", "", limit
        )
        table.add_row(
            "  get in another process meanwhile, over before",
            f"{cpp[f'kill_to_put/{count}/get_ratio']:.2f}",
            "",
            "",
            "1",
        )
    for key, label in (
        ("spinning", "uses a processor and nothing else"),
        ("requests", "floods the broker with requests"),
        ("connections", "tries 10,000 connections, again and again"),
        ("garbage", "sends garbage"),
        ("trickle", "lets bytes trickle in on 64 connections"),
        ("rewriting", "rewrites its session all the time"),
    ):
        row = f"beside/{key}"
        table.add_row(
            f"beside a process that {label}, over alone",
            f"get {cpp[f'{row}/get_median_ratio']:.2f}, p99 {cpp[f'{row}/get_p99_ratio']:.2f}",
            "",
            f"put and delete {cpp[f'{row}/put_median_ratio']:.2f}, p99 {cpp[f'{row}/put_p99_ratio']:.2f}",
            "≤ 2",
        )
    return table


def main() -> int:
    console = Console(width=140 if not sys.stdout.isatty() else None)
    if not CPP_BENCH.exists():
        console.print(f"{CPP_BENCH.relative_to(ROOT)} is not there: run `make build` first")
        return 1
    console.print(f"{cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()}")
    console.print(build_table(run_cpp(), run_python()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

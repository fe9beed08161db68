"""Runs fuzz targets side by side for a given time, and prints what each did.

Every target goes on from tests/fuzz/corpus and from what earlier runs found (build/fuzz/corpus). An input that ends a
target is kept in build/fuzz/crashes, and the run fails.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / "fuzz"
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
CRASHES = BUILD / "crashes"
SHARED_MEMORY = Path("/dev/shm")
TARGETS = ("header", "segment", "control", "session", "ring", "index", "safetensors", "handle", "python")
# The broker's own handlers meet the faults of truncated segments. Leaks are looked for once, at the end. What costs
# most is left out: fake stacks, and backtraces of each allocation (an input that is run by itself has both). What is
# freed is kept for about as long as an input lasts, and stays in the processor's cache.
ASAN_OPTIONS = (
    "handle_sigbus=0:detect_leaks=1:detect_stack_use_after_return=0:malloc_context_size=1:"
    "quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
)
GRACE = 120  # seconds beyond its time after which a target is ended


@dataclass
class Outcome:
    """What a target did."""

    target: str
    status: int
    executions: int
    edges: int
    all_edges: int
    inputs: int
    seconds: float
    crashes: list[Path]


def command(target: str) -> list[str]:
    """Return how a target is started."""
    if target == "python":
        return [sys.executable, str(ROOT / "tests" / "fuzz" / "python_target.py")]
    return [str(BUILD / "tests" / "fuzz" / f"fuzz_{target}")]


def last_number(pattern: str, text: str) -> int:
    """Return the number in the last match of a pattern with one group."""
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def fuzz(target: str, seconds: int, seed: int) -> Outcome:
    """Run one target, its output in a log."""
    found = BUILD / "corpus" / target
    found.mkdir(parents=True, exist_ok=True)
    CRASHES.mkdir(exist_ok=True)
    log = BUILD / "logs" / f"{target}.log"
    log.parent.mkdir(exist_ok=True)
    flags = [f"-max_total_time={seconds}", f"-seed={seed}", f"-artifact_prefix={CRASHES}/{target}-", "-timeout=30"]
    flags += ["-print_final_stats=1", "-handle_bus=0", "-detect_leaks=0", "-rss_limit_mb=4096"]
    # libFuzzer's bookkeeping of rare features takes longer than the broker.
    flags += ["-entropic=0"]
    before = set(CRASHES.iterdir())
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command(target), *flags, str(found), str(CORPUS / target)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"ASAN_OPTIONS": ASAN_OPTIONS, "UBSAN_OPTIONS": "print_stacktrace=1"},
        )
        overdue = threading.Timer(seconds + GRACE, process.terminate)
        overdue.start()
        process.wait()
        overdue.cancel()
    remove_segments(process.pid)
    text = log.read_text(errors="replace")
    crashes = sorted(path for path in CRASHES.iterdir() if path not in before and path.name.startswith(f"{target}-"))
    return Outcome(
        target,
        process.returncode,
        last_number(r"stat::number_of_executed_units:\s*(\d+)", text) or last_number(r"#(\d+)\s", text),
        last_number(r"cov: (\d+)", text),
        last_number(r"\((\d+) inline 8-bit counters\)", text),
        last_number(r"corp: (\d+)", text),
        max(seconds, 1),
        crashes,
    )


def remove_segments(pid: int) -> None:
    """Remove what a target that ended by a signal left in /dev/shm."""
    of_it = re.compile(rf"tensorbroker\.\d+\.fuzz-([a-z]+-)?{pid}(-\d+)?\.")
    for path in SHARED_MEMORY.iterdir():
        if of_it.match(path.name):
            path.unlink(missing_ok=True)


def print_table(outcomes: list[Outcome]) -> None:
    """Print a line for each target."""
    print(f"{'target':12} {'executions':>12} {'per second':>11} {'edges covered':>16} {'inputs kept':>12}  end")
    for o in outcomes:
        edges = f"{o.edges} of {o.all_edges}" if o.all_edges else str(o.edges)
        end = "ok" if o.status == 0 else f"FAILED ({o.status}): see build/fuzz/logs/{o.target}.log"
        rate = round(o.executions / o.seconds)
        print(f"{o.target:12} {o.executions:12,} {rate:11,} {edges:>16} {o.inputs:12,}  {end}")
    for o in outcomes:
        for path in o.crashes:
            again = " ".join(command(o.target)).replace(f"{ROOT}/", "")
            print(f"{o.target}: the input is {path.relative_to(ROOT)}; again: {again} {path.relative_to(ROOT)}")


def main() -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2**31))
    parser.add_argument("targets", nargs="*", default=TARGETS, metavar="TARGET", help=", ".join(TARGETS))
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    if shutil.disk_usage(SHARED_MEMORY).free < 256 << 20:
        parser.error("/dev/shm has less than 256 MiB left; free some of it")
    targets = list(dict.fromkeys(arguments.targets))
    print(f"fuzzing {', '.join(targets)} for {arguments.seconds} s, SEED={arguments.seed}", flush=True)
    with ThreadPoolExecutor(len(targets)) as pool:
        outcomes = list(pool.map(lambda target: fuzz(target, arguments.seconds, arguments.seed), targets))
    print_table(outcomes)
    return 1 if any(o.status != 0 for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())

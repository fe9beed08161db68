"""Counts the instructions of calls under callgrind, and compares them with what they were (baseline.json).

Times on shared machines drift; instructions hardly do. A call that takes more than 5 % more or fewer than the baseline
is a failure: mend it, or write the new baseline with --update, and say in the commit why. Of a broker only the handling
of requests is counted: how often it looks for the next one, or reclaims, depends on when that comes. A count that
differs is taken again.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent.parent
CALLS = ROOT / "build" / "tests" / "instructions" / "counted_calls"
DAEMON = ROOT / "build" / "broker" / "tensorbrokerd"
BASELINE = Path(__file__).with_name("baseline.json")
ROUNDS = 1000
TOLERANCE = 0.05
LIMIT = 300  # seconds for one run
COUNT = ("valgrind", "--tool=callgrind")
TOTAL = re.compile(r"^totals: (\d+)", re.MULTILINE)
HANDLES = "tensorbroker::broker::Dispatch::on_frame*"
PROCESSES = 3  # the daemon detaches itself by forking twice


def run(call: str, rounds: int, prefix: tuple[str, ...] = (), daemon: Path = DAEMON) -> str:
    """Run the program that makes the calls; return what it and what it runs under printed."""
    done = subprocess.run(
        [*prefix, str(CALLS), call, str(rounds)],
        env=os.environ | {"TENSORBROKER_DAEMON": str(daemon)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{call}: {done.stdout}{done.stderr}")
    return done.stderr


def of_client(call: str, scratch: Path) -> float:
    """Return the instructions of one call in the process that makes it."""
    options = (f"--callgrind-out-file={scratch / 'client'}", "--toggle-collect=counted_rounds")
    found = re.search(r"Collected : (\d+)", run(call, ROUNDS, (*COUNT, *options)))
    if found is None:
        sys.exit(f"{call}: callgrind counted nothing")
    return int(found[1]) / ROUNDS


def of_broker(call: str, scratch: Path) -> float:
    """Return the instructions that the broker takes to handle one call, those of its start and end taken off."""
    counts = []
    for rounds in (0, ROUNDS):
        out = scratch / f"{call}-{rounds}".replace(" ", "-")  # a folder: each of the daemon's processes counts
        out.mkdir()
        wrapper = scratch / f"tensorbrokerd-{rounds}"
        # Without pages prepared ahead, which has nothing to do with the calls.
        options = (f"--callgrind-out-file={out}/%p", "--log-file=/dev/null", f"--toggle-collect='{HANDLES}'")
        command = " ".join((*COUNT, *options, str(DAEMON)))
        wrapper.write_text(f'#!/bin/sh\nexec {command} "$@" --prepared 0\n')
        wrapper.chmod(0o700)
        run(call, rounds, daemon=wrapper)
        counts.append(sum(await_totals(out)))
    return (counts[1] - counts[0]) / ROUNDS


def await_totals(out: Path) -> list[int]:
    """Return what each of the daemon's processes counted, once the last of them has written it."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        found = [TOTAL.search(path.read_text()) for path in out.iterdir()]
        if len(found) == PROCESSES and all(found):
            return [int(match[1]) for match in found if match]
        time.sleep(0.05)
    sys.exit(f"callgrind wrote {[path.name for path in out.iterdir()]} to {out}, not {PROCESSES} sums")


def count(key: str) -> int:
    """Return the instructions of a call, of which the client's key is its name."""
    call, _, where = key.partition(": ")
    with tempfile.TemporaryDirectory(prefix="tensorbroker-instructions-") as folder:
        return round(of_broker(call, Path(folder)) if where == "broker" else of_client(call, Path(folder)))


def count_all(baseline: dict[str, float]) -> dict[str, float]:
    """Return the instructions of every call; where they differ from the baseline's, the nearer of two counts."""
    calls = subprocess.run([str(CALLS)], capture_output=True, text=True, check=True).stdout.splitlines()
    counts: dict[str, float] = {}
    for key in [*calls, *(f"{call}: broker" for call in calls if call.startswith("put"))]:
        counts[key] = count(key)
        before = baseline.get(key)
        if before is not None and differs(counts[key], before):
            counts[key] = min(counts[key], count(key), key=lambda taken: abs(taken - before))
    return counts


def differs(count: float, before: float | None) -> bool:
    """Tell whether a count is not what it was."""
    return before is None or abs(count - before) > TOLERANCE * before


def print_table(counts: dict[str, float], baseline: dict[str, float]) -> None:
    """Print a line for each call."""
    table = Table("call", *(f"[right]{title}" for title in ("instructions", "before", "change")))
    for call, count in counts.items():
        before = baseline.get(call)
        change = f"{count / before - 1:+.1%}" if before else "new"
        table.add_row(
            call, f"{count:,}", f"{before:,}" if before else "", change, style="red" if differs(count, before) else ""
        )
    Console().print(table)


def main() -> int:
    """Count, compare; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write the baseline")
    arguments = parser.parse_args()
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    counts = count_all(baseline)
    print_table(counts, baseline)
    if arguments.update:
        BASELINE.write_text(json.dumps(counts, indent=2) + "\n")
        return 0
    return 1 if any(differs(count, baseline.get(call)) for call, count in counts.items()) else 0


if __name__ == "__main__":
    sys.exit(main())

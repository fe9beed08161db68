"""Random calls, random faults, and a look at everything after each round: `make chaos`.

Real processes on a real broker. What is random comes from the seed, which is printed; the processes' races do not.
Every so many rounds a new instance begins, each fourth one in a small /dev/shm of its own where that is allowed.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import clock
import faults
import invariants
from world import GONE, Hung, World, await_, state_of

WORKERS = 4
SMALL_SHM = "24m"
GROUP_LIMIT = 3600.0  # seconds for the rounds of one instance: what hangs in a way unforeseen ends then


@dataclass
class Totals:
    """What came of some rounds."""

    rounds: int = 0
    violations: int = 0
    calls: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Totals") -> None:
        self.rounds += other.rounds
        self.violations += other.violations
        self.calls += other.calls
        self.faults += other.faults


def play(world: World, number: int, names: list[str]) -> None:
    """Play one round, adding the names of its faults."""
    world.may_lose = world.random.random() < 0.06
    for worker in range(WORKERS):
        world.start_worker(f"w{worker}", number)
    chosen = faults.choose(world.random, may_lose=world.may_lose)
    faults.pause(world, 0.3)
    for fault in chosen:
        names.append(fault.__name__)
        fault(world)
        faults.pause(world, 0.2)
    world.end_workers()
    world.reap_brokers()
    if world.may_lose:
        world.history.lose_all()
    invariants.check(world)


def end_instance(world: World) -> None:
    """End the broker in good order: nothing may be left."""
    pid = world.broker_pid()
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    await_("the broker did not end", lambda: state_of(pid) in GONE)
    world.reap_brokers()
    if world.kinds():
        world.violations.append(f"an orderly end left {world.kinds()}")


def play_instance(seed: str, numbers: range, capacity: str, set_clock: clock.Clock) -> Totals:
    """Play some rounds in an instance of their own, up to the first that cannot go on; say what was wrong at once."""
    totals = Totals()
    runtime_dir = tempfile.mkdtemp(prefix="tb-chaos-", dir="/tmp")
    world = World(f"{seed}/{numbers.start}", runtime_dir, capacity, set_clock)
    where = "start"

    def note() -> None:
        for violation in world.violations:
            print(f"{where}: VIOLATION: {violation}", flush=True)
        totals.violations += len(world.violations)
        world.violations.clear()

    try:
        for number in numbers:
            names: list[str] = []
            where = f"round {number}"
            try:
                play(world, number, names)
            finally:
                where = f"round {number} ({', '.join(names)})"
                totals.faults.update(names)
                note()
            totals.rounds += 1
        where = "the end of an instance"
        end_instance(world)
        note()
    except Exception as error:
        text = f"HUNG: {error}" if isinstance(error, Hung) else f"FAILED: {traceback.format_exc()}"
        print(f"{where}: {text}\n{world.log()}", flush=True)
        totals.violations += 1
    finally:
        totals.calls = world.history.done
        world.abandon()
        shutil.rmtree(runtime_dir, ignore_errors=True)
    return totals


# ---------------------------------------------------------------- a small /dev/shm


def may_mount() -> bool:
    """Return whether a process of ours may mount in a namespace of its own."""
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, check=False, capture_output=True, timeout=30).returncode == 0
    return False


def play_instance_in_small_shm(seed: str, numbers: range, capacity: str) -> Totals:
    """Run this program for these rounds where /dev/shm is a small file system of its own, which the workers fill."""
    script = f'mount -t tmpfs -o size={SMALL_SHM} tmpfs /dev/shm && exec "$0" "$@"'
    with tempfile.NamedTemporaryFile(prefix="tb-chaos-", suffix=".json") as out:
        rest = ["--seed", seed, "--capacity", capacity, "--first", str(numbers.start), "--rounds", str(len(numbers))]
        rest += ["--each", str(len(numbers)), "--totals", out.name]
        command = ["unshare", "-m", "sh", "-c", script, sys.executable, str(Path(__file__)), *rest]
        try:
            subprocess.run(command, check=True, timeout=GROUP_LIMIT)
            found = json.loads(Path(out.name).read_text())
        except (subprocess.SubprocessError, ValueError) as error:
            print(f"rounds from {numbers.start} in a small /dev/shm: FAILED: {error}", flush=True)
            return Totals(violations=1)
    return Totals(**found | {"faults": Counter(found["faults"])})


# ---------------------------------------------------------------- all rounds


def run(arguments: argparse.Namespace) -> Totals:
    """Play all rounds."""
    set_clock = clock.Clock(clock.preload())
    set_clock.set(0)
    small = arguments.small_shm or (arguments.totals is None and may_mount())
    totals = Totals()
    end = arguments.first + arguments.rounds
    for group, first in enumerate(range(arguments.first, end, arguments.each)):
        numbers = range(first, min(end, first + arguments.each))
        if small and (arguments.small_shm or group % 4 == 3):
            totals.add(play_instance_in_small_shm(arguments.seed, numbers, arguments.capacity))
            totals.faults["small_shm"] += len(numbers)
        else:
            totals.add(play_instance(arguments.seed, numbers, arguments.capacity, set_clock))
    return totals


def report(arguments: argparse.Namespace, totals: Totals, seconds: float) -> None:
    """Say what came of it all."""
    print(f"{totals.rounds} rounds in {seconds:.0f} s, {totals.calls} publications and deletions, ", end="")
    print(f"{totals.violations} violations")
    print(", ".join(f"{name} {n}" for name, n in sorted(totals.faults.items())))
    if totals.violations:
        print(f"to play it again: make chaos SEED={arguments.seed} ROUNDS={arguments.rounds}", flush=True)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--each", type=int, default=50, help="rounds of one instance")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(2**32)))
    parser.add_argument("--capacity", default="64MiB")
    parser.add_argument("--small-shm", action="store_true", help=f"all rounds with {SMALL_SHM} of /dev/shm; needs root")
    parser.add_argument("--totals", type=Path, help="leave the totals there as JSON, and print what went wrong alone")
    arguments = parser.parse_args()
    clock_file = clock.preload()
    if arguments.totals is not None:
        arguments.totals.write_text(json.dumps(vars(run(arguments))))
        return 0
    print(f"seed {arguments.seed}", flush=True)
    began = time.monotonic()
    totals = run(arguments)
    report(arguments, totals, time.monotonic() - began)
    if clock_file is not None:
        clock_file.unlink()
    return int(totals.violations != 0)


if __name__ == "__main__":
    sys.exit(main())

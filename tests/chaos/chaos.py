"""Random calls, random faults, and a look at everything after each round: `make chaos`.

Real processes on a real broker. What is random comes from the seed, which is printed; the processes' races do not.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faults
import invariants
from world import Hung, World, await_, state_of

WORKERS = 4
ROUNDS_OF_AN_INSTANCE = 50
SMALL_SHM = "24m"


def play(world: World, number: int) -> list[str]:
    """Play one round; return the names of its faults."""
    world.may_lose = world.random.random() < 0.06
    for worker in range(WORKERS):
        world.start_worker(f"w{worker}", number)
    chosen = faults.choose(world.random, may_lose=world.may_lose)
    faults.pause(world, 0.3)
    for fault in chosen:
        fault(world)
        faults.pause(world, 0.2)
    world.end_workers()
    world.reap_brokers()
    if world.may_lose:
        world.history.lose_all()
    invariants.check(world)
    return [fault.__name__ for fault in chosen]


def end_instance(world: World) -> None:
    """End the broker in good order: nothing may be left."""
    pid = world.broker_pid()
    if pid is None:
        return
    os.kill(pid, 15)
    await_("the broker did not end", lambda: state_of(pid) in ("Z", ""))
    world.reap_brokers()
    if world.kinds():
        world.violations.append(f"an orderly end left {world.kinds()}")


def run(seed: str, rounds: int, capacity: str) -> int:
    """Play the rounds, each fifty in an instance of their own; return how many violations there were."""
    violations = 0
    began = time.monotonic()
    counts: dict[str, int] = {}
    calls = 0
    for first in range(0, rounds, ROUNDS_OF_AN_INSTANCE):
        runtime_dir = tempfile.mkdtemp(prefix="tb-chaos-", dir="/tmp")
        world = World(f"{seed}/{first}", runtime_dir, capacity)
        try:
            for number in range(first, min(rounds, first + ROUNDS_OF_AN_INSTANCE)):
                names = play(world, number)
                for name in names:
                    counts[name] = counts.get(name, 0) + 1
                for violation in world.violations:
                    print(f"round {number} ({', '.join(names)}): VIOLATION: {violation}", flush=True)
                violations += len(world.violations)
                world.violations.clear()
            end_instance(world)
            violations += len(world.violations)
            calls += world.history.done
        except Hung as hung:
            print(f"round {number}: HUNG: {hung}\n{world.log()}", flush=True)
            return violations + 1
        finally:
            world.abandon()
            shutil.rmtree(runtime_dir, ignore_errors=True)
    seconds = time.monotonic() - began
    print(f"{rounds} rounds in {seconds:.0f} s, {calls} publications and deletions, {violations} violations")
    print(", ".join(f"{name} {n}" for name, n in sorted(counts.items())))
    return violations


def in_small_shm(arguments: list[str]) -> int:
    """Run this program again where /dev/shm is a small file system of its own, which the workers fill."""
    script = f'mount -t tmpfs -o size={SMALL_SHM} tmpfs /dev/shm && exec "$0" "$@"'
    command = ["unshare", "-m", "sh", "-c", script, sys.executable, str(Path(__file__)), *arguments]
    return subprocess.run(command, check=False).returncode


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(2**32)))
    parser.add_argument("--capacity", default="64MiB")
    parser.add_argument("--small-shm", action="store_true", help=f"with {SMALL_SHM} of /dev/shm; needs root")
    arguments = parser.parse_args()
    if arguments.small_shm:
        rest = ["--rounds", str(arguments.rounds), "--seed", arguments.seed, "--capacity", arguments.capacity]
        return in_small_shm(rest)
    print(f"seed {arguments.seed}", flush=True)
    return int(run(arguments.seed, arguments.rounds, arguments.capacity) != 0)


if __name__ == "__main__":
    sys.exit(main())

"""What must hold after every round, looked at by a new process through a new connection."""

import json
import os
import time
from pathlib import Path
from typing import Any

import tensorbroker as tb
from contents import flaw
from world import World, await_, state_of

PAGE = 4096
SETTLING = 15.0  # seconds: the dead are noticed and their memory comes back


def check(world: World) -> None:
    """Note every violation in the world."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        try:
            answer = look(world)
        except BaseException as error:
            answer = {"violations": [f"the look at the end of a round: {type(error).__name__}: {error}"], "found": None}
        with os.fdopen(write_end, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        answer = json.load(pipe)
    os.waitpid(pid, 0)
    world.violations += answer["violations"]
    if answer["found"] is not None:
        world.violations += world.history.settle(answer["found"])
    await_segments(world)


def look(world: World) -> dict[str, Any]:
    """Read everything, and wait until the broker's counts are those of the names alone."""
    violations: list[str] = []
    found: dict[str, int] = {}
    with tb.connect(world.instance, runtime_dir=world.runtime_dir, capacity=world.capacity, timeout=30) as client:
        names = [info.name for info in client.list()]
        if names != sorted(set(names)):
            violations.append(f"a listing has {names}")
        for name in names:
            if name.startswith("m/"):
                continue
            with_name = client.get(name)
            parts = with_name.numpy()
            elements = joined(parts) if isinstance(parts, dict) else parts
            if wrong := flaw(name, with_name.metadata, elements):
                violations.append(wrong)
            found[name] = with_name.metadata["sequence"]
            with_name.release()
        violations += settle(client, world)
    return {"violations": violations, "found": found}


def joined(parts: dict[str, Any]) -> Any:
    import numpy as np

    return np.concatenate([parts["a"], parts["b"]])


def settle(client: tb.Client, world: World) -> list[str]:
    """Return what is still wrong with the broker's counts when all had its time."""
    deadline = time.monotonic() + SETTLING
    while True:
        wrong = unsettled(client.stats(), world)
        if not wrong or time.monotonic() > deadline:
            return wrong
        time.sleep(0.02)


def unsettled(stats: dict[str, Any], world: World) -> list[str]:
    """Compare the broker's counts with what one idle client should leave of them."""
    wrong = []
    if stats["sessions"] != 1:
        wrong.append(f"{stats['sessions']} sessions; one process is attached")
    if stats["retired"] != 0:
        wrong.append(f"{stats['retired']} bytes retired, held by nobody")
    most = stats["live"] + 2 * PAGE * (stats["tensors"] + stats["bundles"])
    if stats["used"] > most:
        wrong.append(f"{stats['used']} bytes used for {stats['live']} live ones")
    if sorted(world.kinds()) != ["arena", "catalog", "lock", "session", "session"]:
        wrong.append(f"/dev/shm has {world.kinds()}")
    return wrong


def await_segments(world: World) -> None:
    """The connection of the look is closed: its session goes, and the broker keeps no descriptor of it."""
    await_(
        "the session of a client that ended stays",
        lambda: world.kinds() == ["arena", "catalog", "lock"],
        SETTLING,
        lambda: f"{world.kinds()}, broker {world.broker_pid()}",
    )
    pid = world.broker_pid()
    if pid is None:
        world.violations.append("no broker is there after a client was served")
        return
    await_("descriptors of the broker stay", lambda: descriptors(pid) <= world.descriptors, SETTLING)


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir())) if state_of(pid) else 0

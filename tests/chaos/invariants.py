"""What must hold after every round, looked at by a new process through a new connection."""

import json
import os
import re
import select
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import tensorbroker as tb
from contents import flaw
from world import GONE, Hung, World, await_, ends_with, state_of

PAGE = 4096
SETTLING = 15.0  # seconds: the dead are noticed and their memory comes back
REST = ["arena", "catalog", "lock"]  # in /dev/shm, with no client
HELD = ("leases", "pins", "sent")
LOOK = 120.0  # seconds for all of a look


def check(world: World) -> None:
    """Note every violation in the world."""
    answer = ask_a_process(world)
    world.violations += answer["violations"]
    if answer["found"] is not None:
        world.violations += world.history.settle(answer["found"])
    await_rest(world)


def ask_a_process(world: World) -> dict[str, Any]:
    """Let a process of its own look, since it attaches."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        look_and_tell(world, write_end)
    os.close(write_end)
    text = b""
    try:
        while select.select([read_end], [], [], LOOK)[0] and (more := os.read(read_end, 65536)):
            text += more
        await_("the look at the end of a round does not end", lambda: state_of(pid) in GONE, 5)
    except Hung:
        ends_with(pid, signal.SIGKILL)
        raise
    finally:
        os.close(read_end)
        _, status = os.waitpid(pid, 0)
    if status != 0:
        return {"violations": [f"the look at the end of a round ended with status {status}"], "found": None}
    answer = json.loads(text)
    assert isinstance(answer, dict)
    return answer


def look_and_tell(world: World, pipe: int) -> NoReturn:
    """Write the answer into the pipe, and end this process whatever happens."""
    try:
        try:
            answer = look(world)
        except Exception as error:
            answer = {"violations": [f"the look at the end of a round: {type(error).__name__}: {error}"], "found": None}
        os.write(pipe, json.dumps(answer).encode())
        os._exit(0)
    finally:
        os._exit(1)


def look(world: World) -> dict[str, Any]:
    """Read everything, and wait until the broker's counts are those of the names alone."""
    violations: list[str] = []
    found: dict[str, int] = {}
    with attach(world) as client:
        names = [info.name for info in client.list()]
        if names != sorted(set(names)):
            violations.append(f"a listing has {names}")
        for name in names:
            if name.startswith("m/"):
                continue
            found[name], wrong = look_at(client, name)
            violations += [wrong] if wrong else []
        violations += settle(client, world)
    return {"violations": violations, "found": found}


def attach(world: World) -> tb.Client:
    """Connect; where /dev/shm is full of what the dead had, as soon as that came back."""
    deadline = time.monotonic() + SETTLING
    while True:
        try:
            return tb.connect(world.instance, runtime_dir=world.runtime_dir, capacity=world.capacity, timeout=30)
        except tb.OutOfMemoryError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def look_at(client: tb.Client, name: str) -> tuple[int, str | None]:
    """Return the sequence number of what the name leads to, and what is wrong with it; keep nothing of it."""
    tensor = client.get(name)
    parts = tensor.numpy()
    elements = np.concatenate([parts["a"], parts["b"]]) if isinstance(parts, dict) else parts
    return tensor.metadata["sequence"], flaw(name, tensor.metadata, elements)


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
    wrong += [f"{stats['counters'][what]} {what}; nobody holds any" for what in HELD if stats["counters"][what] != 0]
    if stats["retired"] != 0:
        wrong.append(f"{stats['retired']} bytes retired, held by nobody")
    most = stats["live"] + 2 * PAGE * (stats["tensors"] + stats["bundles"])
    if stats["used"] > most:
        wrong.append(f"{stats['used']} bytes used for {stats['live']} live ones")
    kinds = world.kinds()
    # The second session is the one's heir; a full /dev/shm has no place for it.
    if kinds not in (REST + ["session"], REST + ["session"] * 2):
        wrong.append(f"/dev/shm has {kinds}")
    return wrong


def await_rest(world: World) -> None:
    """The connection of the look is closed: its session goes, and the broker keeps nothing of it."""
    await_(
        "the session of a client that ended stays",
        lambda: world.kinds() == REST,
        SETTLING,
        lambda: f"{world.kinds()}, broker {world.broker_pid()}",
    )
    pid = world.broker_pid()
    if pid is None:
        world.violations.append("no broker is there after a client was served")
        return
    await_(
        "a broker without clients keeps what it had for them",
        lambda: not (held_by(pid) - AT_REST),
        SETTLING,
        lambda: str(dict(held_by(pid) - AT_REST)),
    )


# What a broker without clients has beside its standard streams, at most: its files, the event loop's and the acceptor's
# descriptors, and the catalog's mapping.
AT_REST = Counter(
    {
        "descriptor of lock": 1,
        "descriptor of log": 1,
        "descriptor of catalog": 1,
        "descriptor of arena": 1,
        "descriptor of null": 2,
        "descriptor of pipe": 2,
        "descriptor of socket": 1,
        "descriptor of inotify": 2,  # for names, and for segments that somebody lets go of
        "descriptor of eventfd": 1,
        "descriptor of eventpoll": 1,
        "descriptor of timerfd": 1,
        "mapping of catalog": 1,
    }
)


def held_by(pid: int) -> Counter[str]:
    """Count the descriptors and the mapped segments of a process, by what they are; nothing where it ended."""
    held: Counter[str] = Counter()
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if int(link.name) > 2:
                held[f"descriptor of {kind_of(os.readlink(link))}"] += 1
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if "/dev/shm/tensorbroker." in line:
                held[f"mapping of {kind_of(line)}"] += 1
    except OSError:
        return Counter()
    return held


def kind_of(path: str) -> str:
    """Return what a path in /proc names: the kind of a segment, "socket", "log"."""
    words = re.findall(r"[a-z]+", path.removesuffix(" (deleted)").rpartition("anon_inode:")[2])
    return str(words[-1]) if words else path

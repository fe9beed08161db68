"""What goes wrong in a round. Each fault is one function of the world; it ends with everything that it started ended,
and everything that it stopped going on."""

import contextlib
import os
import random
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from world import GONE, World, await_, ends_with, state_of

Fault = Callable[[World], None]


def pause(world: World, most: float = 0.05) -> None:
    """Let the workers work for a while."""
    time.sleep(world.random.random() * most)
    world.listen()


def kill_reader_or_writer(world: World) -> None:
    if world.children:
        world.kill_worker(world.random.choice(world.children))


def stop_worker(world: World) -> None:
    if not world.children:
        return
    child = world.random.choice(world.children)
    stop(child.pid)
    pause(world, 0.2)
    if world.random.random() < 0.5:
        world.kill_worker(child)
    else:
        ends_with(child.pid, signal.SIGCONT)


def stop(pid: int) -> bool:
    """Stop a process; return whether it stands still, and did not end meanwhile."""
    ends_with(pid, signal.SIGSTOP)
    await_(f"process {pid} does not stop", lambda: state_of(pid) in ("T", *GONE))
    return state_of(pid) == "T"


def kill_broker(world: World) -> None:
    """A worker starts its successor."""
    pid = world.broker_pid()
    if pid is None:
        return
    ends_with(pid, signal.SIGKILL)
    await_(f"the broker (pid {pid}) outlives its SIGKILL", lambda: state_of(pid) in GONE)


def kill_broker_again_and_again(world: World) -> None:
    for _ in range(world.random.randrange(2, 5)):
        kill_broker(world)
        pause(world, 0.1)


def kill_both(world: World) -> None:
    kill_broker(world)
    kill_reader_or_writer(world)


def stop_broker_beside_a_successor(world: World) -> None:
    """A would-be successor must not take over from a broker that is only stopped."""
    pid = world.broker_pid()
    if pid is None or not stop(pid):
        return
    successor = world.start_broker()
    # One that is stopped may end all the same: with the first process of its pid namespace.
    await_(
        f"a second broker (pid {successor.pid}) runs beside the stopped one (pid {pid})",
        lambda: successor.poll() is not None or state_of(pid) in GONE,
    )
    pause(world, 0.1)
    ends_with(pid, signal.SIGCONT)


@contextlib.contextmanager
def limited(pid: int, which: int, most: int) -> Iterator[None]:
    """Lower a limit of a process that may be gone, or go meanwhile."""
    try:
        before = resource.prlimit(pid, which)
        resource.prlimit(pid, which, (min(most, before[1]), before[1]))
    except ProcessLookupError:
        yield
        return
    yield
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, which, before)


def little_memory_for_broker(world: World) -> None:
    """What it asks the kernel for is refused: mappings, and the heap beyond what it has."""
    pid = world.broker_pid()
    if pid is None:
        return
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    except OSError:
        return  # it just ended
    with limited(pid, resource.RLIMIT_AS, pages * resource.getpagesize()):
        pause(world, 0.4)


def few_descriptors_for_broker(world: World) -> None:
    """New clients are refused meanwhile."""
    pid = world.broker_pid()
    if pid is None:
        return
    with limited(pid, resource.RLIMIT_NOFILE, world.random.randrange(3, 30)):
        pause(world, 0.4)


def jump_clock(world: World) -> None:
    """Set CLOCK_REALTIME on or back, as every process of this world sees it."""
    seconds = world.random.choice([1, 60, 3600, 86_400, 365 * 86_400, 10 * 365 * 86_400])
    world.clock.set(world.random.choice([0, -1, 1]) * seconds * world.random.random())


def end_broker_keeping_all(world: World) -> None:
    """As `stop --keep`, by a process of its own."""
    child = os.fork()
    if child == 0:
        import tensorbroker as tb

        with contextlib.suppress(tb.Error):
            tb.connect(world.instance, runtime_dir=world.runtime_dir, autostart=False, timeout=5)._stop_broker(True)
        os._exit(0)
    await_("the process that says stop does not end", lambda: state_of(child) in GONE)
    os.waitpid(child, 0)


def two_brokers_at_once(world: World) -> None:
    """Started from different environments; at most one serves, and the other one says so and ends."""
    kill_broker(world)
    elsewhere = tempfile.mkdtemp(prefix="tb-chaos-", dir="/tmp")
    first = world.start_broker()
    second = world.start_broker("--runtime-dir", elsewhere)
    pause(world, 0.1)
    await_("two brokers serve at once", lambda: first.poll() is not None or second.poll() is not None)
    second.kill()  # nobody here looks for it there
    second.wait()
    shutil.rmtree(elsewhere)


def clean_runtime_dir(world: World) -> None:
    for path in Path(world.runtime_dir).iterdir():
        path.unlink(missing_ok=True)


def remove_runtime_dir(world: World) -> None:
    shutil.rmtree(world.runtime_dir, ignore_errors=True)


def remove_lock(world: World) -> None:
    for path in world.files():
        if path.name.endswith(".lock"):
            path.unlink(missing_ok=True)


def clean_shm(world: World) -> None:
    """Names may be gone afterwards, and an instance may begin anew."""
    files = world.files()
    for path in world.random.sample(files, world.random.randrange(len(files) + 1)) if files else []:
        path.unlink(missing_ok=True)


def new_worker(world: World) -> None:
    world.start_worker(f"w{world.random.randrange(4, 1000)}", 0)


def worker_in_namespaces(world: World) -> None:
    """Another pid, mount and time namespace, and the same /dev/shm: a container."""
    world.start_worker(f"w{world.random.randrange(4, 1000)}", 0, in_namespaces=True)


ORDINARY: dict[Fault, int] = {
    kill_reader_or_writer: 6,
    stop_worker: 3,
    kill_broker: 6,
    kill_broker_again_and_again: 2,
    kill_both: 3,
    little_memory_for_broker: 2,
    few_descriptors_for_broker: 2,
    jump_clock: 3,
    stop_broker_beside_a_successor: 2,
    end_broker_keeping_all: 1,
    two_brokers_at_once: 2,
    clean_runtime_dir: 1,
    remove_runtime_dir: 1,
    remove_lock: 1,
    new_worker: 2,
    worker_in_namespaces: 2,
}


def choose(source: random.Random, *, may_lose: bool) -> list[Fault]:
    """Return one to three faults for a round."""
    faults = source.choices(list(ORDINARY), list(ORDINARY.values()), k=source.randrange(1, 4))
    return [*faults, clean_shm] if may_lose else faults

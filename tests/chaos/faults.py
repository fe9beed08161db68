"""What goes wrong in a round. Each fault is one function of the world; it ends with everything that it started ended,
and everything that it stopped going on."""

import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from world import World, await_, ends_with

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
    ends_with(child.pid, signal.SIGSTOP)
    pause(world, 0.2)
    if world.random.random() < 0.5:
        world.kill_worker(child)
    else:
        ends_with(child.pid, signal.SIGCONT)


def kill_broker(world: World) -> None:
    """A worker starts its successor."""
    pid = world.broker_pid()
    if pid is not None:
        ends_with(pid, signal.SIGKILL)


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
    if pid is None:
        return
    ends_with(pid, signal.SIGSTOP)
    successor = world.start_broker()
    if successor.wait(20) == 0:
        world.violations.append(f"a second broker ran beside the stopped one (pid {pid})")
    pause(world, 0.1)
    ends_with(pid, signal.SIGCONT)


def end_broker_keeping_all(world: World) -> None:
    """As `stop --keep`, by a process of its own."""
    child = os.fork()
    if child == 0:
        import tensorbroker as tb

        with contextlib.suppress(tb.Error):
            tb.connect(world.instance, runtime_dir=world.runtime_dir, autostart=False, timeout=5)._stop_broker(True)
        os._exit(0)
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
    """Another pid and mount namespace, and the same /dev/shm: a container."""
    world.start_worker(f"w{world.random.randrange(4, 1000)}", 0, in_namespaces=True)


ORDINARY: dict[Fault, int] = {
    kill_reader_or_writer: 6,
    stop_worker: 3,
    kill_broker: 6,
    kill_broker_again_and_again: 2,
    kill_both: 3,
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

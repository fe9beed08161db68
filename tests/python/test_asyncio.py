"""Waiting in event loops: real brokers, writers in processes of their own."""

import asyncio
import contextlib
import gc
import os
import re
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorbroker as tb
from support import LIMIT, Broker, Program, expect_within, run

PUT_ON_COMMAND = """
import sys, tensorbroker as tb
tb.list()
print("ready", flush=True)
for line in sys.stdin:
    name, value = line.split()
    print(tb.put(name, [int(value)]).version, flush=True)
"""


@pytest.fixture
def writer(program: Callable[..., Program]) -> Program:
    """Run a process that puts what it is told."""
    started: Program = program(PUT_ON_COMMAND)
    assert started.read() == "ready"
    return started


def service_threads() -> list[str]:
    """Return the ids of the threads that serve waits."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            if (task / "comm").read_text().strip() == "tb-waits":
                found.append(task.name)
    return found


def eventfds() -> int:
    """Count the descriptors through which loops are told."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += "eventfd" in os.readlink(link)
    return count


@pytest.fixture(autouse=True)
def no_wait_left(nothing_left: None) -> Iterator[None]:
    """Check that no wait, and with it the thread, outlives a test."""
    yield
    gc.collect()
    expect_within(20, service_threads, [])


def in_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run it in an event loop of its own; fail where it takes too long."""

    async def limited() -> Any:
        async with asyncio.timeout(LIMIT * 2):
            return await coroutine

    return asyncio.run(limited())


async def begun(*tasks: Awaitable[Any]) -> list[asyncio.Task[Any]]:
    """Start tasks, and return when all of them wait."""
    started = [asyncio.ensure_future(task) for task in tasks]
    while not service_threads():
        await asyncio.sleep(0.001)
    for _ in range(10):
        await asyncio.sleep(0)
    return started  # type: ignore[return-value]


# ---------------------------------------------------------------- wait_async


def test_what_is_there_needs_no_thread(client: tb.Client) -> None:
    put = client.put("x", [1])
    before = service_threads()
    assert in_loop(client.wait_async("x")).version == put.version
    assert in_loop(tb.wait_async("x", newer_than=put.version - 1)).version == put.version
    assert service_threads() == before


def test_what_is_not_there_yet(client: tb.Client, writer: Program) -> None:
    async def scene() -> Any:
        (task,) = await begun(client.wait_async("x"))
        writer.write("x 5")
        return await task

    assert in_loop(scene()).tolist() == [5]


def test_a_newer_version_and_a_bundle(client: tb.Client) -> None:
    old = client.put("x", [1])

    async def scene() -> Any:
        (task,) = await begun(client.wait_async("x", old.version))
        client.put("x", {"a": [2]})
        return await task

    bundle = in_loop(scene())
    assert isinstance(bundle, tb.Bundle)
    assert bundle["a"].tolist() == [2]
    assert bundle.version > old.version


def test_timeouts_are_the_builtin(client: tb.Client) -> None:
    put = client.put("x", [1])
    with pytest.raises(TimeoutError, match=f"no version of 'x' newer than {put.version} came in time"):
        in_loop(client.wait_async("x", put.version, timeout=0.05))
    with pytest.raises(TimeoutError):
        in_loop(client.wait_async("y", timeout=0))
    assert in_loop(client.wait_async("x", timeout=0)).version == put.version

    async def theirs() -> None:
        async with asyncio.timeout(0.05):
            await client.wait_async("y")

    with pytest.raises(TimeoutError):
        in_loop(theirs())


def test_bad_arguments(client: tb.Client) -> None:
    client.put("x", [1])
    for error, match, arguments in (
        (ValueError, "newer_than must be a version", ("x", -1)),
        (ValueError, "timeout must be seconds from 0 up", ("x", 0, -1)),
        (TypeError, "timeout must be seconds as a number", ("x", 0, "soon")),
        (ValueError, "name", ("",)),
        (TypeError, "name", (1,)),
    ):
        with pytest.raises(error, match=match):
            in_loop(client.wait_async(*arguments))  # type: ignore[arg-type]


def test_a_deletion_ends_nothing(client: tb.Client, writer: Program) -> None:
    old = client.put("x", [1])

    async def scene() -> Any:
        (task,) = await begun(client.wait_async("x", old.version))
        client.delete("x")
        client.put("other", [1])
        writer.write("x 2")
        return await task

    assert in_loop(scene()).tolist() == [2]


def test_the_loop_goes_on_meanwhile(client: tb.Client, writer: Program) -> None:
    async def scene() -> int:
        ticks = 0
        (task,) = await begun(client.wait_async("x"))
        while ticks < 1000:
            await asyncio.sleep(0)
            ticks += 1
            assert not task.done()
        writer.write("x 1")
        await task
        return ticks

    assert in_loop(scene()) == 1000


def test_a_loop_over_what_is_there_lets_others_run(client: tb.Client) -> None:
    client.put("x", [1])

    async def scene() -> int:
        async def read() -> None:
            for _ in range(100):
                await client.wait_async("x")

        reading = asyncio.ensure_future(read())
        ticks = 0
        while not reading.done():
            await asyncio.sleep(0)
            ticks += 1
        return ticks

    assert in_loop(scene()) >= 100


def test_a_thousand_waits_have_one_thread(client: tb.Client, writer: Program) -> None:
    async def scene() -> list[int]:
        before = len(list(Path("/proc/self/task").iterdir()))
        tasks = await begun(*(client.wait_async(f"x{i}") for i in range(1000)))
        assert len(list(Path("/proc/self/task").iterdir())) == before + 1
        for i in range(1000):
            writer.write(f"x{i} {i}")
        return [tensor.item() for tensor in await asyncio.gather(*tasks)]

    expect_within(20, service_threads, [])
    assert in_loop(scene()) == list(range(1000))


# ---------------------------------------------------------------- cancelling


def holders(client: tb.Client, name: str) -> int:
    """Return how many sessions hold the version of now."""
    return next(info for info in client.list() if info.name == name).holders


def test_cancelling_ends_it_and_leaves_nothing(client: tb.Client) -> None:
    async def scene() -> None:
        tasks = await begun(*(client.wait_async(f"x{i}") for i in range(200)))
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        expect_within(20, service_threads, [])  # none is left, while the loop is there

    in_loop(scene())


def test_cancelling_what_has_come_but_was_not_taken(client: tb.Client, writer: Program) -> None:
    async def scene() -> None:
        (task,) = await begun(client.wait_async("x"))
        writer.write("x 1")
        writer.read()
        expect_within(20, lambda: holders(client, "x"), 1)  # blocks the loop: the result lies in its queue
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        expect_within(20, lambda: holders(client, "x"), 0)

    in_loop(scene())


def test_others_are_served_when_one_is_cancelled(client: tb.Client, writer: Program) -> None:
    async def scene() -> Any:
        first, second = await begun(client.wait_async("x"), client.wait_async("x"))
        first.cancel()
        writer.write("x 1")
        return await second

    assert in_loop(scene()).tolist() == [1]


# ---------------------------------------------------------------- watch

PUBLISH = """
import sys, tensorbroker as tb
for i in range(1, int(sys.argv[1]) + 1):
    tb.put("x", [i])
print("done", flush=True)
"""


def test_watching_a_thousand_versions_of_another_process(client: tb.Client, program: Callable[..., Program]) -> None:
    async def scene() -> tuple[list[int], list[int]]:
        values, versions = [], []
        publisher = program(PUBLISH, "1000")
        async for tensor in client.watch("x", timeout=LIMIT):
            values.append(tensor.item())
            versions.append(tensor.version)
            if values[-1] == 1000:
                break
        publisher.finish()
        return values, versions

    values, versions = in_loop(scene())
    assert values == sorted(set(values))
    assert versions == sorted(set(versions))
    assert values[-1] == 1000


def test_the_first_of_a_watch(client: tb.Client) -> None:
    client.put("x", [1])

    async def first(watch: tb.Watch) -> Any:
        return await anext(watch)

    assert in_loop(first(client.watch("x"))).tolist() == [1]
    following = client.watch("x", start="next", timeout=20)
    client.put("x", [2])
    assert in_loop(first(following)).tolist() == [2]
    with pytest.raises(TimeoutError):
        in_loop(first(client.watch("x", start="next", timeout=0.05)))


def test_a_slow_watch_skips(client: tb.Client) -> None:
    async def scene() -> list[int]:
        seen = []
        client.put("x", [0])
        async for tensor in tb.watch("x", timeout=20):
            seen.append(tensor.item())
            if seen[-1] >= 10:
                return seen
            for i in range(1, 6):
                client.put("x", [seen[-1] + i])
        raise AssertionError

    assert in_loop(scene()) == [0, 5, 10]


def test_tasks_that_share_a_watch_get_each_version_once(client: tb.Client) -> None:
    async def scene() -> list[int]:
        watch = client.watch("x", start="next")
        tasks = await begun(anext(watch), anext(watch))
        client.put("x", [1])
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        client.put("x", [2])
        return sorted([(await task).item() for task in tasks])

    assert in_loop(scene()) == [1, 2]


def test_the_timeout_of_a_watch_is_for_each_version(client: tb.Client) -> None:
    async def scene() -> list[int]:
        seen = []
        watch = client.watch("x", timeout=0.1)
        for i in range(3):
            client.put("x", [i])
            seen.append((await anext(watch)).item())
        with pytest.raises(TimeoutError):
            await anext(watch)
        client.put("x", [3])
        return [*seen, (await anext(watch)).item()]

    assert in_loop(scene()) == [0, 1, 2, 3]


# ---------------------------------------------------------------- ends of clients, loops, brokers, processes


def test_closing_the_client() -> None:
    client = tb.connect()

    async def scene() -> None:
        waits = await begun(client.wait_async("x"), anext(client.watch("y")))
        client.close()
        for wait in waits:
            with pytest.raises(tb.ClosedError, match="was closed"):
                await wait
        with pytest.raises(tb.ClosedError):
            await client.wait_async("x")

    in_loop(scene())


def test_a_killed_broker_and_its_successor(broker: Broker) -> None:
    async def scene() -> Any:
        (task,) = await begun(client.wait_async("x"))
        broker.signal(signal.SIGKILL)
        await asyncio.sleep(0.01)
        await asyncio.to_thread(broker.start)
        with broker.connect() as other:
            await asyncio.to_thread(other.put, "x", [1])
        return await task

    with broker.connect() as client:
        assert in_loop(scene()).tolist() == [1]


def test_the_next_instance(broker: Broker) -> None:
    async def scene() -> list[int]:
        seen: list[int] = []
        client.put("x", [1])
        watch = client.watch("x", timeout=LIMIT)
        seen.append((await anext(watch)).item())
        (task,) = await begun(anext(watch))
        await asyncio.to_thread(broker.signal, signal.SIGTERM)
        while not tb_segments_gone(broker):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(broker.start)
        await asyncio.to_thread(client.put, "x", [2])
        return [*seen, (await task).item()]

    with broker.connect() as client:
        assert in_loop(scene()) == [1, 2]


def tb_segments_gone(broker: Broker) -> bool:
    """Return whether nothing of the broker's instance is left."""
    return not list(Path("/dev/shm").glob(f"tensorbroker.{os.geteuid()}.{broker.instance}.*[0-9]"))


def test_a_watch_begun_while_there_is_no_instance(broker: Broker) -> None:
    async def scene() -> Any:
        await asyncio.to_thread(broker.signal, signal.SIGTERM)
        (task,) = await begun(anext(client.watch("x", start="next")))  # returns: nothing of it blocks
        await asyncio.to_thread(broker.start)
        await asyncio.to_thread(client.put, "x", [2])
        return await task

    with broker.connect() as client:
        client.put("x", [1])
        assert in_loop(scene()).tolist() == [2]


def test_several_loops_in_several_threads(client: tb.Client) -> None:
    results: list[Any] = []

    def read(name: str) -> None:
        async def scene() -> None:
            seen = [tensor.item() async for tensor in until(client.watch(name, timeout=20), 20)]
            results.append((name, seen == sorted(set(seen)), seen[-1]))

        asyncio.run(scene())

    async def until(watch: tb.Watch, last: int) -> Any:
        async for tensor in watch:
            yield tensor
            if tensor.item() == last:
                return

    threads = [threading.Thread(target=read, args=(f"x{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for value in range(1, 21):
        for i in range(4):
            client.put(f"x{i}", [value])
    for thread in threads:
        thread.join(LIMIT)
    assert sorted(results) == [(f"x{i}", True, 20) for i in range(4)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_is_closed_with_waits_pending(client: tb.Client) -> None:
    before = eventfds()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(begun(client.wait_async("x"), client.wait_async("y")))
    assert eventfds() == before + 1
    loop.close()
    del loop
    gc.collect()
    assert eventfds() == before
    expect_within(20, service_threads, [])
    client.put("x", [1])
    assert holders(client, "x") == 0


FORKED = """
import asyncio, os, sys
import tensorbroker as tb
client = tb.connect()

async def main():
    task = asyncio.ensure_future(client.wait_async("x", timeout=30))
    while "tb-waits" not in [open(f"/proc/self/task/{t}/comm").read().strip() for t in os.listdir("/proc/self/task")]:
        await asyncio.sleep(0.001)
    pid = os.fork()
    if pid == 0:
        threads = len(os.listdir("/proc/self/task"))
        async def scene():
            waiting = asyncio.ensure_future(anext(client.watch("fresh", timeout=20)))
            await asyncio.sleep(0.05)
            client.put("fresh", [3])
            return (await waiting).item()
        fresh = asyncio.new_event_loop().run_until_complete(scene())
        print("child", threads, fresh, flush=True)
        os._exit(0)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    client.put("x", [1])
    print("parent", status, (await task).item(), flush=True)

asyncio.run(main())
"""


def test_fork_with_waits_pending(client: tb.Client) -> None:
    assert run(FORKED).splitlines() == ["child 1 3", "parent 0 1"]


AT_EXIT = """
import asyncio, sys
import tensorbroker as tb

async def main():
    tasks = [asyncio.ensure_future(tb.wait_async("never%d" % i)) for i in range(200)]
    await asyncio.sleep(0.1)
    return tasks

loop = asyncio.new_event_loop()
tasks = loop.run_until_complete(main())
{end}
sys.stdout.write("end\\n")
"""


@pytest.mark.parametrize("end", ["", "loop.close()", "tb._default._clients.default.close()", "import os; os.fork()"])
def test_the_end_of_the_interpreter_with_waits_pending(client: tb.Client, end: str) -> None:
    printed = run(AT_EXIT.replace("{end}", end))  # checks the status, too
    assert set(printed.split()) == {"end"}


def test_the_end_in_the_middle_of_versions(client: tb.Client) -> None:
    code = """
import asyncio, threading
import tensorbroker as tb

def read():
    async def scene():
        async for tensor in tb.watch("x"):
            tb.put("x", [1])
            seen.set()
    asyncio.run(scene())

tb.put("x", [0])
seen = threading.Event()
threading.Thread(target=read, daemon=True).start()
seen.wait(20)
"""
    assert run(code) == ""


INTERRUPTED = """
import asyncio, tensorbroker as tb

async def main():
    asyncio.get_running_loop().call_later(0.2, lambda: print("ready", flush=True))
    await tb.wait_async("never")

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_interrupt_ends_waiting(program: Callable[..., Program]) -> None:
    waiter = program(INTERRUPTED)
    assert waiter.read() == "ready"
    os.kill(waiter.pid, signal.SIGINT)
    assert waiter.read() == "interrupted"
    waiter.finish()


UNCONNECTED = """
import asyncio, os, sys
os.environ["TENSORBROKER_INSTANCE"] = sys.argv[1]
import tensorbroker as tb

async def main():
    task = asyncio.ensure_future(tb.wait_async("x"))
    for _ in range(1000):
        await asyncio.sleep(0)
        assert not task.done()
    print("ticking", flush=True)
    print((await task).tolist())

asyncio.run(main())
"""


def test_the_first_use_connects_beside_the_loop(broker: Broker, program: Callable[..., Program]) -> None:
    with broker.connect() as client:
        client.put("x", [1])
    os.kill(broker.pid, signal.SIGSTOP)  # connecting takes until it goes on
    try:
        reader = program(UNCONNECTED, broker.instance)
        assert reader.read() == "ticking"
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    assert reader.finish() == "[1]\n"


def test_asyncio_is_imported_with_the_first_wait_alone() -> None:
    assert run("import sys, tensorbroker; print('asyncio' in sys.modules)") == "False\n"


def test_the_methods_are_documented() -> None:
    assert asyncio.iscoroutinefunction(tb.Client.wait_async)
    assert asyncio.iscoroutinefunction(tb.wait_async)
    assert re.search("event loop", tb.Client.wait_async.__doc__ or "")

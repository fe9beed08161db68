"""Waiting for versions, within a process and across two."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tensorbroker as tb
from support import LIMIT, Program, broker_pid, expect_within, in_thread, is_running

PUT_ON_COMMAND = """
import sys, tensorbroker as tb
tb.list()
print("ready", flush=True)
for line in sys.stdin:
    print(tb.put("x", [int(line)]).version, flush=True)
"""


@pytest.fixture
def writer(program: Callable[..., Program]) -> Program:
    """Run a process that puts the numbers it is given as 'x'."""
    started: Program = program(PUT_ON_COMMAND)
    assert started.read() == "ready"
    return started


def test_wait_returns_what_is_there(client: tb.Client) -> None:
    put = client.put("x", [1])
    assert client.wait("x").version == put.version
    assert client.wait("x", newer_than=put.version - 1).version == put.version


def test_wait_for_what_is_not_there_yet(client: tb.Client, writer: Program) -> None:
    writer.write("5")
    assert client.wait("x", timeout=20).tolist() == [5]


def test_wait_for_a_newer_version(client: tb.Client, writer: Program) -> None:
    old = client.put("x", [1])
    thread, results = in_thread(lambda: client.wait("x", old.version, timeout=20))
    writer.write("2")
    version = int(writer.read())
    thread.join(20)
    assert isinstance(results[0], tb.Tensor)
    assert (results[0].version, results[0].tolist()) == (version, [2])


WAIT_FOR_X = """
import sys, tensorbroker as tb
client = tb.connect(sys.argv[1], runtime_dir=sys.argv[2], autostart=True)
print("waits", flush=True)
print(client.wait("x", timeout=60).tolist(), flush=True)
"""


def test_who_is_blocked_is_woken_by_a_put_through_the_successor(
    instance: str, runtime_dir: str, program: Callable[..., Program]
) -> None:
    waiter = program(WAIT_FOR_X, instance, runtime_dir)
    assert waiter.read() == "waits"
    expect_within(LIMIT, lambda: ") S " in Path(f"/proc/{waiter.pid}/stat").read_text(), True)
    killed = broker_pid(instance)
    assert killed is not None
    with tb.connect(instance, runtime_dir=runtime_dir, autostart=True) as client:
        os.kill(killed, signal.SIGKILL)
        expect_within(LIMIT, lambda: is_running(killed), False)
        client.put("x", [7])
        assert waiter.read() == "[7]"
        assert client.stats()["broker_pid"] not in (killed, None)
        waiter.finish()


def test_timeouts(client: tb.Client) -> None:
    put = client.put("x", [1])
    with pytest.raises(TimeoutError, match="no version of 'x' newer than"):
        client.wait("x", put.version, timeout=0.05)
    with pytest.raises(TimeoutError):
        client.wait("y", timeout=0)
    with pytest.raises(tb.NotFoundError, match="there is no 'y'"):
        client.get("y", timeout=0.05)


def test_get_waits(client: tb.Client, writer: Program) -> None:
    writer.write("3")
    assert client.get("x", timeout=20).tolist() == [3]
    client.delete("x")
    writer.write("4")
    assert client.get("x", timeout=None).tolist() == [4]


def test_a_deletion_ends_nobodys_waiting(client: tb.Client) -> None:
    old = client.put("x", [1])
    thread, results = in_thread(lambda: client.wait("x", old.version, timeout=20))
    client.delete("x")
    client.put("x", [2])
    thread.join(20)
    assert isinstance(results[0], tb.Tensor) and results[0].tolist() == [2]


def test_watch(client: tb.Client, writer: Program) -> None:
    client.put("x", [1])
    seen = []
    for tensor in client.watch("x", timeout=20):
        seen.append((tensor.tolist(), tensor.version))
        if len(seen) == 4:
            break
        writer.write(str(len(seen) + 1))
    assert [values for values, _ in seen] == [[1], [2], [3], [4]]
    assert sorted(version for _, version in seen) == [version for _, version in seen]


def test_watch_skips_what_it_was_too_slow_for(client: tb.Client) -> None:
    watch = client.watch("x", timeout=20)
    for number in range(5):
        client.put("x", [number])
    assert next(watch).tolist() == [4]
    client.put("x", [7])
    assert next(watch).tolist() == [7]


def test_watch_from_the_next_one(client: tb.Client) -> None:
    client.put("x", [1])
    watch = client.watch("x", start="next", timeout=0.05)
    with pytest.raises(TimeoutError):
        next(watch)
    client.put("x", [2])
    assert next(watch).tolist() == [2]


def test_threads_that_share_a_watch_get_each_version_once(client: tb.Client) -> None:
    watch = client.watch("x", start="next", timeout=LIMIT)
    with ThreadPoolExecutor(4) as pool:
        taken = [pool.submit(lambda: next(watch).item()) for _ in range(4)]
        for i in range(4):
            client.put("x", [i])
            expect_within(LIMIT, lambda wanted=i + 1: sum(one.done() for one in taken), i + 1)
        assert sorted(one.result() for one in taken) == [0, 1, 2, 3]


def test_watch_of_bundles(client: tb.Client) -> None:
    client.put("m", {"x": [1]})
    for bundle in client.watch("m", timeout=20):
        assert bundle["x"].tolist() == [1]
        break


def test_bad_arguments(client: tb.Client) -> None:
    with pytest.raises(ValueError, match="start must be 'current'"):
        client.watch("x", start="first")
    with pytest.raises(ValueError, match="name"):
        client.watch("")
    with pytest.raises(ValueError, match="newer_than"):
        client.wait("x", -1)
    with pytest.raises(ValueError, match="timeout must be seconds from 0 up"):
        client.wait("x", timeout=-1)
    with pytest.raises(TypeError, match="timeout must be seconds as a number"):
        client.get("x", timeout="soon")


def test_many_threads_wait(client: tb.Client) -> None:
    threads = [in_thread(lambda: client.wait("x", timeout=20)) for _ in range(8)]
    client.put("x", [1])
    for thread, results in threads:
        thread.join(20)
        assert isinstance(results[0], tb.Tensor)


def test_close_ends_waiting() -> None:
    with tb.connect() as client:
        thread, results = in_thread(lambda: client.wait("x"))
    thread.join(20)
    assert not thread.is_alive()
    assert isinstance(results[0], tb.ClosedError)


INTERRUPTED = """
import signal, sys, tensorbroker as tb
tb.list()
try:
    print("ready", flush=True)
    tb.wait("never")
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_interrupt_ends_waiting(program: Callable[..., Program]) -> None:
    waiter = program(INTERRUPTED)
    assert waiter.read() == "ready"
    waiter.kill(2)
    assert waiter.read() == "interrupted"


HANDLER = """
import signal, tensorbroker as tb
tb.list()
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
print("ready", flush=True)
print(tb.wait("x", timeout=30).tolist(), flush=True)
"""


def test_other_signals_are_handled_while_waiting(client: tb.Client, program: Callable[..., Program]) -> None:
    import os
    import signal

    waiter = program(HANDLER)
    assert waiter.read() == "ready"
    os.kill(waiter.pid, signal.SIGUSR1)
    assert waiter.read() == "handled"
    client.put("x", [1])
    assert waiter.read() == "[1]"
    waiter.finish()


def test_waiting_lets_other_threads_run(client: tb.Client) -> None:
    thread, results = in_thread(lambda: client.wait("x", timeout=20))
    expect_within(20, thread.is_alive, True)
    client.put("x", [1])  # would not get the GIL
    thread.join(20)
    assert isinstance(results[0], tb.Tensor)

"""Waiting busily: `spin=` of wait() and watch()."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorbroker as tb
from support import LIMIT, Program, expect_within, in_thread

SPIN_ON_COMMAND = """
import sys, tensorbroker as tb
tb.list()
try:
    print("ready", flush=True)
    print(tb.wait("x", timeout=60, spin=float(sys.argv[1])).tolist(), flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def processor_ticks(pid: int) -> int:
    """Return how many hundredths of a second a process has computed, in user mode."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def expect_busy(pid: int) -> None:
    """Look until the process has computed for some time."""
    before = processor_ticks(pid)
    expect_within(LIMIT, lambda: processor_ticks(pid) > before + 5, True)


def sleeps_in_futex(pid: int) -> bool:
    """Return whether its main thread is in futex(2)."""
    number = Path(f"/proc/{pid}/syscall").read_text().split()[0]
    return number == {"x86_64": "202", "aarch64": "98"}[os.uname().machine]


def test_spinning_sees_a_publication(client: tb.Client, program: Callable[..., Program]) -> None:
    waiter = program(SPIN_ON_COMMAND, "60")
    assert waiter.read() == "ready"
    expect_busy(waiter.pid)
    client.put("x", [1])
    assert waiter.read() == "[1]"


def test_spinning_passes_over_to_sleep(client: tb.Client, program: Callable[..., Program]) -> None:
    waiter = program(SPIN_ON_COMMAND, "0.001")
    assert waiter.read() == "ready"
    expect_within(LIMIT, lambda: sleeps_in_futex(waiter.pid), True)
    client.put("x", [2])
    assert waiter.read() == "[2]"


def test_interrupt_ends_spinning(program: Callable[..., Program]) -> None:
    waiter = program(SPIN_ON_COMMAND, "60")
    assert waiter.read() == "ready"
    expect_busy(waiter.pid)
    waiter.kill(signal.SIGINT)
    assert waiter.read() == "interrupted"


def test_spinning_ends_with_the_timeout(client: tb.Client) -> None:
    with pytest.raises(TimeoutError, match="no version of 'x' newer than 0"):
        client.wait("x", timeout=0.01, spin=60)
    with pytest.raises(TimeoutError):
        next(client.watch("x", timeout=0.01, spin=60))


def test_close_ends_spinning() -> None:
    with tb.connect() as client:
        thread, results = in_thread(lambda: client.wait("x", spin=60))
    thread.join(20)
    assert not thread.is_alive()
    assert isinstance(results[0], tb.ClosedError)


def test_spinning_lets_other_threads_run(client: tb.Client) -> None:
    thread, results = in_thread(lambda: client.wait("x", timeout=LIMIT, spin=LIMIT))
    expect_within(20, thread.is_alive, True)
    client.put("x", [1])  # would not get the GIL
    thread.join(20)
    assert isinstance(results[0], tb.Tensor)


WATCH = """
import sys, tensorbroker as tb
for tensor in tb.watch("x", timeout=60, spin=float(sys.argv[1])):
    print(tensor.tolist(), flush=True)
"""


def test_watch_spins(client: tb.Client, program: Callable[..., Program]) -> None:
    client.put("x", [0])
    watcher = program(WATCH, "60")
    for number in range(4):
        assert watcher.read() == f"[{number}]"
        expect_busy(watcher.pid)
        client.put("x", [number + 1])


@pytest.mark.parametrize("spin", [-1, float("nan"), float("inf")])
def test_a_spin_that_is_no_time(client: tb.Client, spin: float) -> None:
    client.put("x", [1])
    text = f"spin must be finite seconds from 0 up, such as 50e-6, or 0 to sleep at once, not {spin}"
    for call in (client.wait, client.watch, tb.wait, tb.watch):
        with pytest.raises(ValueError, match=text):
            call("x", spin=spin)


@pytest.mark.parametrize("spin", [None, "soon", [1]])
def test_a_spin_of_another_type(client: tb.Client, spin: object) -> None:
    for call in (client.wait, client.watch):
        with pytest.raises(TypeError, match=f"spin must be seconds as a number.* not '?{type(spin).__name__}"):
            call("x", spin=spin)

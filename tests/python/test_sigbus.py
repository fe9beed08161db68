"""Readers of a tensor of which a program of the same user took the pages away: each case in a process of its own."""

import os
import signal
import subprocess
import sys

import pytest
import support

PRELUDE = """
import glob, os, resource, signal, sys, mmap, threading, faulthandler
import numpy as np
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
signal.alarm(60)
import tensorbroker as tb

def cut(size=4096):
    [arena] = glob.glob(f"/dev/shm/tensorbroker.{os.getuid()}.{client.instance}.arena.*")
    os.truncate(arena, size)

def refused(call):
    try:
        call()
    except tb.CorruptSegmentError as error:
        return "was truncated" in str(error)
    return False

def missing_page():
    fd = os.memfd_create("own")
    os.ftruncate(fd, 4096)
    page = mmap.mmap(fd, 4096)
    os.ftruncate(fd, 0)
    return page

client = tb.connect()
"""


def run(broker: support.Broker, code: str) -> subprocess.CompletedProcess[str]:
    """Run the code in a process that knows the broker's instance, and return how it went."""
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        env=os.environ | {"TENSORBROKER_INSTANCE": broker.instance},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def check(broker: support.Broker, code: str) -> None:
    """Run code that must end well."""
    done = run(broker, code)
    assert done.returncode == 0, done.stderr


ONES = "t = client.put('x', np.ones(1 << 20, np.uint8))\na = t.numpy()\n"


def test_by_default_a_reader_dies(broker: support.Broker) -> None:
    assert run(broker, ONES + "cut(); a.sum()").returncode == -signal.SIGBUS


def test_with_the_handler_it_reads_zeros(broker: support.Broker) -> None:
    check(
        broker,
        "tb.install_sigbus_handler(); tb.install_sigbus_handler()\n"
        + ONES
        + "assert t.corrupt is False\n"
        + "cut()\n"
        + "assert a.sum() == 0 and t.corrupt and t[5:].corrupt and repr(t) == 'tensor(<corrupt>)'\n"
        + "for call in (t.numpy, t.torch, t.tolist, t.clone, t[5].item, lambda: memoryview(t), t.__dlpack__,\n"
        + "             lambda: np.asarray(t), lambda: t.name):\n"
        + "    assert refused(call), call\n"
        + "try:\n"
        + "    client.get('x')\n"
        + "except tb.Error:\n"
        + "    pass\n"
        + "else:\n"
        + "    raise AssertionError\n",
    )


def test_what_meets_it_is_refused(broker: support.Broker) -> None:
    check(broker, "tb.install_sigbus_handler()\n" + ONES + "cut()\nassert refused(t.tolist)\n")


def test_a_bundle_is_corrupt_where_a_member_is(broker: support.Broker) -> None:
    check(
        broker,
        "tb.install_sigbus_handler()\n"
        "b = client.put('m', {'w': np.ones(1 << 20, np.uint8), 'b': np.ones(3)})\n"
        "w = b['w'].numpy()\n"
        "assert not b.corrupt\n"
        "cut()\n"
        "assert w.sum() == 0 and b.corrupt and refused(b['w'].numpy) and repr(b) == 'Bundle(<corrupt>)'\n",
    )


@pytest.mark.parametrize("reader", ["t.torch().sum()", "a.sum()", "np.copy(a)"])
def test_under_a_computation(broker: support.Broker, reader: str) -> None:
    check(
        broker,
        "import torch\n"
        "tb.install_sigbus_handler()\n"
        "t = client.put('x', np.ones(64 << 20, np.uint8)); a = t.numpy(); r = t.torch()\n"
        "stop, rounds = threading.Event(), []\n"
        "def compute():\n"
        "    while not stop.is_set():\n"
        f"        {reader.replace('t.torch()', 'r')}\n"
        "        rounds.append(1)\n"
        "thread = threading.Thread(target=compute); thread.start()\n"
        "while len(rounds) < 3: pass\n"
        "cut()\n"
        "at = len(rounds)\n"
        "while len(rounds) < at + 3: pass\n"
        "stop.set(); thread.join()\n"
        "assert t.corrupt and int(a.sum()) == 0 and int(r.sum()) == 0\n",
    )


@pytest.mark.parametrize(
    "order",
    ["tb.install_sigbus_handler(); faulthandler.enable()", "faulthandler.enable(); tb.install_sigbus_handler()"],
)
def test_beside_faulthandler(broker: support.Broker, order: str) -> None:
    died = run(broker, order + "\npage = missing_page()\npage[0]\n")
    assert died.returncode == -signal.SIGBUS
    assert "Fatal Python error: Bus error" in died.stderr
    check(broker, order + "\n" + ONES + "cut()\nassert a.sum() == 0 and t.corrupt\n")


def test_every_other_fault_is_as_before(broker: support.Broker) -> None:
    assert run(broker, "tb.install_sigbus_handler()\nmissing_page()[0]\n").returncode == -signal.SIGBUS
    assert (
        run(broker, "tb.install_sigbus_handler()\nos.kill(os.getpid(), signal.SIGBUS)\n").returncode == -signal.SIGBUS
    )


def test_a_forked_child_keeps_it(broker: support.Broker) -> None:
    check(
        broker,
        "tb.install_sigbus_handler()\n"
        + ONES
        + "pid = os.fork()\n"
        + "if pid == 0:\n"
        + "    cut()\n"
        + "    os._exit(0 if a.sum() == 0 and t.corrupt else 1)\n"
        + "assert os.waitpid(pid, 0)[1] == 0\n"
        + "assert a.sum() == 0 and t.corrupt\n",
    )


def test_after_close(broker: support.Broker) -> None:
    check(broker, "tb.install_sigbus_handler()\n" + ONES + "cut(); client.close()\nassert a.sum() == 0 and t.corrupt\n")


def test_system_calls_fail(broker: support.Broker) -> None:
    check(
        broker,
        "tb.install_sigbus_handler()\n" + ONES + "cut()\n"
        "try:\n"
        "    os.write(os.memfd_create('x'), a)\n"
        "except OSError as error:\n"
        "    assert error.errno == 14\n"
        "else:\n"
        "    raise AssertionError\n"
        "assert t.corrupt\n",
    )


def test_it_is_not_installed_by_import(broker: support.Broker) -> None:
    check(broker, ONES + "assert signal.getsignal(signal.SIGBUS) is signal.SIG_DFL\n")

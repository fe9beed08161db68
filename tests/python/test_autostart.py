"""connect() starts a broker where there is none: detached, one only, and gone when nobody needs it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorbroker as tb
from support import LIMIT, Program, broker_pid, expect_within, is_running

CONNECT = """
import sys, tensorbroker as tb
client = tb.connect(sys.argv[1], runtime_dir=sys.argv[2], autostart=True, capacity="64MiB", timeout=30)
client.put(sys.argv[3], [1, 2, 3])
print(client.stats()["broker_pid"], flush=True)
input()
"""


def test_a_broker_is_started(instance: str, runtime_dir: str) -> None:
    with tb.connect(instance, runtime_dir=runtime_dir, autostart=True, capacity="64MiB") as client:
        stats = client.stats()
        assert stats["broker_pid"] == broker_pid(instance)
        assert stats["capacity"] == 64 << 20
        client.put("x", [1])
    with tb.connect(instance, runtime_dir=runtime_dir, autostart=False) as client:
        assert client.get("x").tolist() == [1]


def test_it_is_detached(instance: str, runtime_dir: str, program: Callable[..., Program]) -> None:
    starter = program(CONNECT, instance, runtime_dir, "x")
    pid = int(starter.read())
    starter.kill(signal.SIGINT)
    assert is_running(pid)
    assert os.getsid(pid) != os.getsid(0)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert fields[4] == "0", "a controlling terminal"
    assert int(fields[1]) != os.getpid()
    opened = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)]
    assert opened == ["/dev/null", f"{runtime_dir}/{instance}.log", f"{runtime_dir}/{instance}.log"]
    with tb.connect(instance, runtime_dir=runtime_dir, autostart=False) as client:
        assert client.get("x").tolist() == [1, 2, 3]


def test_two_processes_start_at_once(instance: str, runtime_dir: str, program: Callable[..., Program]) -> None:
    programs = [program(CONNECT, instance, runtime_dir, f"x{i}") for i in range(4)]
    pids = {int(p.read()) for p in programs}
    assert pids == {broker_pid(instance)}
    for p in programs:
        p.write()
        p.finish()
    with tb.connect(instance, runtime_dir=runtime_dir, autostart=False) as client:
        assert list(client) == ["x0", "x1", "x2", "x3"]


def test_a_successor_is_started_and_keeps_the_capacity(instance: str, runtime_dir: str) -> None:
    with tb.connect(instance, runtime_dir=runtime_dir, autostart=True, capacity="64MiB", timeout=LIMIT) as client:
        kept = client.put("x", [1])
        pid = client.stats()["broker_pid"]
        os.kill(pid, signal.SIGKILL)
        expect_within(LIMIT, lambda: is_running(pid), False)
        client.put("y", [2])
        stats = client.stats()
        assert stats["broker_pid"] != pid
        assert stats["capacity"] == 64 << 20
        assert client.get("x").data_ptr() == kept.data_ptr()


def test_idle_exit(instance: str, runtime_dir: str) -> None:
    """A broker ends when it has had no session and no tensor for a while."""
    import subprocess

    from tensorbroker import _launch

    command = [_launch.daemon_path(), "--detach", "--instance", instance, "--runtime-dir", runtime_dir]
    subprocess.run([*command, "--capacity", "64MiB", "--idle-exit", "0.2"], check=True)
    pid = broker_pid(instance)
    assert pid is not None
    with tb.connect(instance, runtime_dir=runtime_dir, autostart=False) as client:
        client.put("x", [1])
        assert client.stats()["broker_pid"] == pid
        client.delete("x")
    expect_within(LIMIT, lambda: is_running(pid), False)
    assert broker_pid(instance) is None


@pytest.mark.parametrize("value", ["0", "1"])
def test_the_environment_decides(instance: str, runtime_dir: str, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TENSORBROKER_INSTANCE", instance)
    monkeypatch.setenv("TENSORBROKER_RUNTIME_DIR", runtime_dir)
    monkeypatch.setenv("TENSORBROKER_AUTOSTART", value)
    if value == "0":
        with pytest.raises(tb.BrokerUnavailableError, match="autostart is off"):
            tb.connect()
    else:
        with tb.connect(capacity=1 << 26) as client:
            assert client.instance == instance

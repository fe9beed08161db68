"""The check for what tests leave behind catches each thing."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorbroker as tb
from support import INSTANCE_PREFIX, LIMIT, VARIABLES, Broker, Snapshot, expect_within

HERE = Path(__file__).parent


def segment_of(instance: str, kind: str) -> Path:
    """Return the path of an instance's one segment of a kind."""
    (path,) = Path("/dev/shm").glob(f"tensorbroker.{os.geteuid()}.{instance}.{kind}.*")
    return path


def test_finds_a_descriptor() -> None:
    before = Snapshot.take()
    with socket.socket():
        assert any("descriptors of socket" in text for text in Snapshot.take().beyond(before))
    assert Snapshot.take().beyond(before) == []


def test_finds_a_segment() -> None:
    before = Snapshot.take()
    path = Path(f"/dev/shm/tensorbroker.{os.geteuid()}.{INSTANCE_PREFIX}x.arena.7")
    path.touch()
    try:
        assert Snapshot.take().beyond(before) == [f"1 more of {INSTANCE_PREFIX}x.arena in /dev/shm"]
    finally:
        path.unlink()


def test_finds_a_child() -> None:
    before = Snapshot.take()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert f"child process {child.pid}" in Snapshot.take().beyond(before)
    child.communicate(b"\n")


@pytest.mark.parametrize("kind", ["catalog", "arena"])
def test_finds_a_mapping(client: tb.Client, kind: str) -> None:
    before = Snapshot.take(client)
    mapped = np.memmap(segment_of(client.instance, kind), mode="r", shape=100)
    assert f"1 more mappings of {client.instance}.{kind} r--s" in Snapshot.take(client).beyond(before)
    del mapped
    assert Snapshot.take(client).beyond(before) == []


def test_finds_pages_that_stay_writable(client: tb.Client) -> None:
    client.put("x", np.zeros(1000))  # the client has an extent
    before = Snapshot.take(client)
    mapped = np.memmap(segment_of(client.instance, "arena"), mode="r+", offset=4096, shape=8192)
    assert f"8192 more bytes mapped of {client.instance}.arena rw-s" in Snapshot.take(client).beyond(before)
    del mapped
    assert Snapshot.take(client).beyond(before) == []


def test_finds_all_of_a_client_of_another_broker(broker: Broker) -> None:
    before = Snapshot.take()
    other = broker.connect()
    kinds = {what.removeprefix(broker.instance) for what in (Snapshot.take().mappings - before.mappings)}
    assert kinds >= {".catalog r--s", ".arena r--s", ".session rw-s"}
    other.close()
    expect_within(LIMIT, lambda: Snapshot.take().mappings - before.mappings, {})


def test_finds_a_lease(client: tb.Client) -> None:
    client.put("x", np.zeros(10))
    before = Snapshot.take(client)
    held = client.get("x")
    assert Snapshot.take(client).beyond(before) == ["1 more leases"]
    held.release()
    assert Snapshot.take(client).beyond(before) == []


def test_finds_a_private_copy(client: tb.Client) -> None:
    client.put("x", np.zeros(100_000))
    before = Snapshot.take(client)
    copy = client.open("x", "c")
    assert Snapshot.take(client).beyond(before) == [
        f"1 more mappings of {client.instance}.arena rw-p",
        "1 more leases",
    ]
    del copy
    assert Snapshot.take(client).beyond(before) == []


LEAVES = """
import os, socket, subprocess, sys
import numpy as np, tensorbroker as tb
from pathlib import Path
from support import INSTANCE_PREFIX

kept = []
stray = Path(f"/dev/shm/tensorbroker.{os.geteuid()}.{INSTANCE_PREFIX}x.arena.7")

def test_a_descriptor():
    kept.append(socket.socket())

def test_a_segment():
    stray.touch()

def test_a_child():
    kept.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))

def test_a_lease(client):
    client.put("x", np.zeros(10))
    kept.append(client.get("x"))

def test_a_mapping(client):
    client.put("x", np.zeros(100_000))
    kept.append(client.open("x", "c"))

def test_nothing():
    kept.clear()
    stray.unlink()
"""


@pytest.mark.timeout(300)  # PyTorch is imported once more
def test_what_is_left_fails_the_test_that_left_it(tmp_path: Path) -> None:
    program = tmp_path / "test_leaves.py"
    program.write_text(LEAVES)
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment |= {"PYTHONPATH": str(HERE), "TENSORBROKER_TEST_SETTLING": "0.2", "COLUMNS": "300"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "conftest", "-p", "no:cacheprovider", str(program)],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    for test, text in {
        "descriptor": "1 more descriptors of socket",
        "segment": "1 more of pytest",
        "child": "child process",
        "lease": "1 more leases",
        "mapping": ".arena rw-p",
    }.items():
        (line,) = (line for line in done.stdout.splitlines() if line.startswith("ERROR") and f"test_a_{test} " in line)
        assert text in line, done.stdout
    assert "6 passed, 5 errors" in done.stdout


def test_waiting_has_a_limit() -> None:
    with pytest.raises(AssertionError):
        expect_within(0.05, lambda: 1, 2)

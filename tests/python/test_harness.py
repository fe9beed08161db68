"""The check for what tests leave behind catches each thing."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support import INSTANCE_PREFIX, Snapshot, expect_within


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


def test_waiting_has_a_limit() -> None:
    with pytest.raises(AssertionError):
        expect_within(0.05, lambda: 1, 2)

"""An instance that is shared with a group, from the Python of a member: another uid, in a process of its own."""

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import support
import tensorbroker as tb

GROUP, MEMBER, STRANGER = 60123, 60001, 60002
PACKAGES = ("tensorbroker", "numpy", "numpy.libs", "ml_dtypes", "rich", "markdown_it", "mdurl", "pygments")
PYTHON = "/usr/bin/python3"  # which every user may run: a virtual environment's need not be

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


@pytest.fixture(scope="module")
def packages() -> Iterator[str]:
    """Give a folder with what a member imports, which everybody may read."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    asked = [PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False) if Path(PYTHON).exists() else None
    if found is None or found.stdout.strip() != version:
        pytest.skip(f"{PYTHON} is not Python {version}, which the packages are for")
    folder = Path(tempfile.mkdtemp(prefix="tb-packages-", dir="/tmp"))
    folder.chmod(0o755)
    numpy = importlib.util.find_spec("numpy")
    assert numpy is not None and numpy.origin is not None
    site = Path(numpy.origin).parents[1]
    for name in PACKAGES:
        source = Path(tb.__file__).parent if name == "tensorbroker" else site / name
        if source.exists():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    yield str(folder)
    shutil.rmtree(folder)


@pytest.fixture
def shared(nothing_left: None) -> Iterator[support.Broker]:
    """Run a broker of root's that is shared with the group."""
    folder = tempfile.mkdtemp(prefix="tb-group-", dir="/tmp")
    own = support.Broker(support.fresh_instance(), folder, capacity="64MiB", group=str(GROUP))
    own.start()
    yield own
    own.stop()
    shutil.rmtree(folder)


@pytest.fixture
def run_as(packages: str, shared: support.Broker) -> Callable[..., str]:
    """Run a program as another user, whose default instance the shared one is."""

    def run(uid: int, groups: list[int], *arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TENSORBROKER_")}
        environment |= {"PYTHONPATH": packages, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"TENSORBROKER_INSTANCE": shared.instance, "TENSORBROKER_RUNTIME_DIR": shared.runtime_dir}
        environment |= {"TENSORBROKER_OWNER": "root"}
        command = [PYTHON, *arguments]
        done = subprocess.run(
            command,
            env=environment,
            cwd="/",
            user=uid,
            group=uid,
            extra_groups=groups,
            capture_output=True,
            text=True,
            timeout=support.LIMIT,
            check=False,
        )
        return done.stdout if done.returncode == 0 else f"status {done.returncode}: {done.stdout}{done.stderr}"

    return run


def test_members_read(shared: support.Broker, run_as: Callable[..., str]) -> None:
    code = """
import os, sys, pickle, tensorbroker as tb
assert os.geteuid() == 60001
x = tb.get("x")
b = tb.get("model")
array = x.numpy()
assert not array.flags.writeable and array.flags.aligned
assert tb.from_numpy(array).handle == x.handle, "these are the broker's pages"
print(array.tolist(), b["w"].tolist(), list(tb.list().__iter__())[0].name, tb.exists("x"))
again = pickle.loads(bytes.fromhex(sys.argv[1]))
print(again.tolist(), again.version == x.version)
private = tb.open("x", "c").numpy()
private[0] = 9
print(private.tolist(), tb.get("x").tolist(), tb.wait("x", timeout=5.0).tolist())
if os.fork() == 0:
    os._exit(0 if tb.get("x").tolist() == [1, 2, 3] else 1)
print(os.wait()[1])
"""
    with shared.connect() as client:
        x = client.put("x", np.array([1, 2, 3]))
        client.put("model", {"w": np.array([4, 5])})
        lines = run_as(MEMBER, [GROUP], "-c", code, pickle.dumps(x).hex()).splitlines()
        assert lines == ["[1, 2, 3] [4, 5] model True", "[1, 2, 3] True", "[9, 2, 3] [1, 2, 3] [1, 2, 3]", "0"]
        assert x.tolist() == [1, 2, 3]
        support.expect_within(support.LIMIT, lambda: client.stats()["sessions"], 1)


def test_members_do_not_write(shared: support.Broker, run_as: Callable[..., str]) -> None:
    code = """
import tensorbroker as tb
def refused(call, *arguments):
    try:
        call(*arguments)
    except PermissionError as error:
        assert isinstance(error, tb.AccessError), error
        print(error)
    else:
        print("was not refused")
refused(tb.put, "x", [1])
refused(tb.delete, "x")
refused(tb.zeros, 3)
refused(tb.open, "counters", "r+")
print(tb.get("x").tolist())
"""
    with shared.connect() as client:
        client.put("x", [1, 2])
        client.zeros(2, name="counters")
        *refusals, last = run_as(MEMBER, [GROUP], "-c", code).splitlines()
        assert last == "[1, 2]"
        assert len(refusals) == 4
        for refusal in refusals[:3]:
            assert refusal.startswith(f"uid {MEMBER} may read the instance '{shared.instance}' of uid 0, and neither")
        assert refusals[3].startswith("'counters' is uid 0's, whose group may read it")
        assert client.get("x").tolist() == [1, 2]


def test_strangers_are_refused(shared: support.Broker, run_as: Callable[..., str]) -> None:
    code = """
import tensorbroker as tb
try:
    tb.list()
except PermissionError as error:
    print(type(error).__name__, error)
"""
    said = run_as(STRANGER, [], "-c", code)
    assert said.startswith(f"AccessError uid {STRANGER} may not enter the runtime directory {shared.runtime_dir}"), said
    assert "--group" in said


def test_owner_is_a_name_or_a_uid(shared: support.Broker, run_as: Callable[..., str]) -> None:
    code = """
import tensorbroker as tb
for owner in ("root", 0, "0"):
    with tb.connect(owner=owner) as client:
        print(list(client))
for owner in ("no-such-user", "", 1.5):
    try:
        tb.connect(owner=owner)
    except (ValueError, TypeError) as error:
        print(type(error).__name__)
"""
    with shared.connect() as client:
        client.put("x", 1)
        said = run_as(MEMBER, [GROUP], "-c", code).split("\n")
        assert said == ["['x']"] * 3 + ["ValueError", "ValueError", "TypeError", ""]


def test_the_command_line(shared: support.Broker, run_as: Callable[..., str]) -> None:
    def command(*arguments: str) -> str:
        return run_as(MEMBER, [GROUP], "-m", "tensorbroker.cli", "--owner", "root", *arguments)

    with shared.connect() as client:
        client.put("x", [1, 2])
        assert [info["name"] for info in json.loads(command("ls", "--json"))] == ["x"]
        assert json.loads(command("status", "--json"))["broker_pid"] == shared.pid
        findings = {finding["subject"]: finding["level"] for finding in json.loads(command("doctor", "--json"))}
        assert findings["runtime directory"] == findings["broker"] == findings["lock"] == "ok"
        for refused in (["rm", "x"], ["stop"], ["start"]):
            said = command(*refused)
            assert said.startswith("status 1: tensorbroker: "), said
        assert list(client) == ["x"]

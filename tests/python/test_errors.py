"""Bad input: the class of each error, what its message says to do, and that nothing is lost."""

import builtins
import copyreg
import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest
import support
import tensorbroker as tb
import torch


@pytest.fixture
def kept(client: tb.Client) -> tb.Tensor:
    """A tensor that must be there afterwards as before."""
    return client.put("kept", [1, 2, 3])


@pytest.fixture(autouse=True)
def nothing_lost(client: tb.Client, kept: tb.Tensor):
    yield
    assert client.get("kept").version == kept.version
    assert client.get("kept").tolist() == [1, 2, 3]
    assert list(client) == ["kept"]


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (tb.NotFoundError, KeyError),
        (tb.ExistsError, FileExistsError),
        (tb.OutOfMemoryError, MemoryError),
        (tb.QuotaError, tb.OutOfMemoryError),
        (tb.ReadOnlyError, ValueError),
        (tb.AccessError, PermissionError),
        (tb.BrokerUnavailableError, ConnectionError),
        (tb.VersionMismatchError, RuntimeError),
        (tb.CorruptSegmentError, RuntimeError),
        (tb.ClosedError, RuntimeError),
    ],
)
def test_classes(error: type[Exception], base: type[Exception]) -> None:
    assert issubclass(error, tb.Error) and issubclass(error, base)
    assert error.__module__ == "tensorbroker"


def test_not_found_prints_its_message_plainly(client: tb.Client) -> None:
    with pytest.raises(KeyError) as raised:
        client.get("nothing")
    assert str(raised.value) == f"there is no 'nothing' in the instance '{client.instance}'"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "1 to 255 bytes"),
        ("x" * 256, "has 256 bytes; shorten it to 255"),
        ("ä" * 128, "has 256 bytes; shorten it to 255"),
        ("a\nb", "control character"),
        ("a\x00b", "control character"),
        ("a\x85b", "control character"),
        ("\udcff", "not valid Unicode"),
        ("tb://x", "tb://"),
    ],
)
def test_bad_names(client: tb.Client, name: str, message: str) -> None:
    for call in (
        lambda: client.put(name, [1]),
        lambda: client.put(name, {"x": [1]}),
        lambda: client.create(name, (1,)),
        lambda: client.zeros(1, name=name),
        lambda: client.get(name),
        lambda: client.exists(name),
        lambda: client.delete(name),
        lambda: client.wait(name, timeout=0),
    ):
        if name == "" and call.__code__.co_names[-1:] == ("zeros",):
            continue
        with pytest.raises(ValueError, match=message):
            call()


def test_longest_name(client: tb.Client) -> None:
    client.put("x" * 255, [1])
    client.delete("x" * 255)


@pytest.mark.parametrize("name", [1, None, b"x", ["x"]], ids=repr)
def test_names_of_a_wrong_type(client: tb.Client, name: object) -> None:
    for call in (lambda: client.put(name, [1]), lambda: client.get(name), lambda: name in client):
        with pytest.raises(TypeError, match="a name is a str, not"):
            call()


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((-1,), RuntimeError, "negative dimension"),
        ((2, -3), RuntimeError, "negative dimension"),
        ((1 << 40, 1 << 40), RuntimeError, "overflowed with sizes=.1099511627776, 1099511627776"),
        ((1 << 61,), RuntimeError, "overflowed with sizes=.2305843009213693952"),
        ((2.5,), TypeError, "must be tuple of ints,but got float"),
        ("ab", TypeError, "must be tuple of ints, not str"),
        ((1 << 70,), TypeError, "Overflow when unpacking long long: 1180591620717411303424"),
        ((1,) * 65, ValueError, "64"),
    ],
)
def test_bad_shapes(client: tb.Client, shape: object, error: type[Exception], message: str) -> None:
    for call in (
        lambda: client.create("x", shape),
        lambda: client.zeros(shape),
        lambda: client.empty(shape, name="x"),
        lambda: client.full(shape, 1),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (np.array([{}, None]), TypeError, r"hold numbers, not objects; convert the array first"),
        (np.array(["a"]), TypeError, "keep text in the metadata"),
        (np.array([b"a"]), TypeError, "keep text in the metadata"),
        (np.array(["2020-01-01"], "M8[D]"), TypeError, r"call \.view\(np\.int64\) first"),
        (np.zeros(2, "i4,f4"), TypeError, "put each field under its own name"),
        (np.ma.masked_array([1, 2], [True, False]), TypeError, r"call \.filled\(\) first"),
        (np.ones(2, np.longdouble), TypeError, r"\.astype\(np\.float64\)"),
        (torch.ones(2, 2).to_sparse(), TypeError, r"call \.to_dense\(\) first"),
        (torch.ones(2, device="meta"), TypeError, "meta device"),
        (None, TypeError, "'NoneType'"),
        ("text", TypeError, "'str'"),
        (object(), TypeError, "give numbers, nested lists of numbers, arrays or tensors"),
        ([[1, 2], [3]], ValueError, "expected sequence of length 2 at dim 1"),
        ([1, [2]], TypeError, "equally deep"),
        ([1, "a"], TypeError, "'str'"),
        ([2**70], ValueError, "Overflow"),
    ],
    ids=range(16),
)
def test_bad_data(client: tb.Client, data: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        client.put("x", data)


@pytest.mark.parametrize(
    ("metadata", "error", "message"),
    [
        ([1], TypeError, "metadata must be a dict"),
        ({"x": object()}, TypeError, "JSON values"),
        ({1: 2}, TypeError, "keys of metadata must be str"),
        ({"x": float("nan")}, ValueError, "no NaN"),
        ({"x": "\udc80"}, ValueError, "valid Unicode"),
        ({"x": "y" * 65536}, ValueError, "at most 65536 fit"),
    ],
    ids=range(6),
)
def test_bad_metadata(client: tb.Client, metadata: object, error: type[Exception], message: str) -> None:
    for call in (
        lambda: client.put("x", [1], metadata=metadata),
        lambda: client.create("x", 1, metadata=metadata),
        lambda: client.zeros(1, name="x", metadata=metadata),
    ):
        with pytest.raises(error, match=message):
            call()


def test_larger_than_the_capacity(client: tb.Client) -> None:
    size = 600 << 20
    for call in (
        lambda: client.put("x", np.empty(size, np.uint8)),
        lambda: client.create("x", size, tb.uint8),
        lambda: client.zeros(size, dtype=tb.uint8, name="x"),
    ):
        with pytest.raises(tb.OutOfMemoryError, match="capacity") as raised:
            call()
        assert str(size) in str(raised.value)
        assert isinstance(raised.value, MemoryError)


def test_one_tensor_may_take_most_of_the_capacity(client: tb.Client) -> None:
    tensor = client.put("big", np.ones((512 << 20) * 9 // 10, np.uint8))
    assert tensor.numpy()[-1] == 1
    tensor.release()
    client.delete("big")


def test_full_is_an_error_and_room_is_found_again(client: tb.Client) -> None:
    part = np.ones(100 << 20, np.uint8)
    held = []
    with pytest.raises(tb.OutOfMemoryError):
        for i in range(10):
            held.append(client.put(f"part{i}", part))
    assert 3 <= len(held) < 6
    for tensor in held:
        client.delete(tensor.name)
        tensor.release()
    client.put("again", part)
    client.delete("again")


@pytest.mark.parametrize("capacity", ["8XB", "", "x", -1, "-5GiB", 1.5])
def test_bad_capacity(runtime_dir: str, capacity: object) -> None:
    with pytest.raises((ValueError, TypeError), match="number of bytes"):
        tb.connect(support.fresh_instance(), runtime_dir=runtime_dir, capacity=capacity)


@pytest.mark.parametrize("instance", ["", "a/b", "a.b", "x" * 65, "ä"])
def test_bad_instance(instance: str) -> None:
    with pytest.raises(ValueError, match="instance"):
        tb.connect(instance)


def test_no_broker_and_autostart_off(runtime_dir: str) -> None:
    with pytest.raises(tb.BrokerUnavailableError, match="autostart is off"):
        tb.connect(support.fresh_instance(), runtime_dir=runtime_dir, autostart=False)


def test_runtime_dir_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(tb.AccessError, match="link"):
        tb.connect(support.fresh_instance(), runtime_dir=tmp_path / "link", autostart=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_runtime_dir_of_another_user(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.raises(tb.AccessError, match="belongs to uid 12345"):
        tb.connect(support.fresh_instance(), runtime_dir=tmp_path / "theirs", autostart=True)


def test_runtime_dir_that_others_may_write(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(tb.Error, match=r"chmod|0700|others"):
        tb.connect(support.fresh_instance(), runtime_dir=tmp_path / "open", autostart=True)


def test_runtime_dir_too_long_for_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir(mode=0o700)
    with pytest.raises(ValueError, match="107"):
        tb.connect(support.fresh_instance(), runtime_dir=folder, autostart=True)


def test_another_runtime_directory(shared_broker: support.Broker, tmp_path: Path) -> None:
    with pytest.raises(tb.Error, match="has the runtime directory"):
        tb.connect(shared_broker.instance, runtime_dir=tmp_path, autostart=False)


def test_a_daemon_that_does_not_start(runtime_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBROKER_DAEMON", "/nonexistent/tensorbrokerd")
    with pytest.raises(tb.BrokerUnavailableError, match="/nonexistent/tensorbrokerd"):
        tb.connect(support.fresh_instance(), runtime_dir=runtime_dir, autostart=True)


NAMESPACE = ["unshare", "--mount", "sh", "-c"]


def in_namespace(mount: str, runtime_dir: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python where /dev/shm is another one."""
    import sys

    environment = {name: value for name, value in os.environ.items() if not name.startswith("TENSORBROKER_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(tb.__file__).parents[1])])
    command = [*NAMESPACE, f'{mount} && exec "$0" -c "$1" "$2"', sys.executable, code, runtime_dir]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=support.LIMIT, check=False)


def can_unshare() -> bool:
    try:
        return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


CONNECT = """
import sys, tensorbroker as tb
try:
    tb.connect("x", runtime_dir=sys.argv[1], autostart=True, capacity="64MiB")
except tb.Error as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(not can_unshare(), reason="mount namespaces are not to be had here")
@pytest.mark.parametrize("mount", ["mount -t tmpfs -o ro tmpfs /dev/shm", "mount -t tmpfs -o size=8k tmpfs /dev/shm"])
def test_shm_that_is_read_only_or_full(mount: str, runtime_dir: str) -> None:
    done = in_namespace(mount, runtime_dir, CONNECT)
    assert done.returncode == 0, done.stderr
    assert "/dev/shm" in done.stdout


FILL = """
import os, signal, sys
import numpy as np
import tensorbroker as tb
client = tb.connect("x", runtime_dir=sys.argv[1], autostart=True, capacity="1GiB")
pid = client.stats()["broker_pid"]
kept = client.put("kept", [1, 2, 3])
try:
    client.put("x", np.ones(200 << 20, np.uint8))
except tb.OutOfMemoryError as error:
    print("OutOfMemoryError", error)
print(client.get("kept").tolist(), client.exists("x"))
client.put("small", np.ones(1 << 20, np.uint8))
print("served")
os.kill(pid, signal.SIGTERM)
"""


@pytest.mark.skipif(not can_unshare(), reason="mount namespaces are not to be had here")
def test_shm_that_fills_up(runtime_dir: str) -> None:
    """An error, never a SIGBUS; the broker goes on."""
    done = in_namespace("mount -t tmpfs -o size=64m tmpfs /dev/shm", runtime_dir, FILL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("OutOfMemoryError")
    assert "/dev/shm" in done.stdout
    assert done.stdout.endswith("[1, 2, 3] False\nserved\n")


def test_builtin_timeout_error() -> None:
    with pytest.raises(builtins.TimeoutError) as raised:
        tb.wait("never", timeout=0)
    assert type(raised.value) is TimeoutError


@pytest.mark.parametrize("name", ["Bundle", "Client", "Event", "Events", "Info", "Tensor", "Watch", "dtype"])
def test_objects_come_from_functions_alone(name: str) -> None:
    cls = getattr(tb, name)
    for make in (cls, lambda: cls.__new__(cls), lambda: object.__new__(cls), lambda: copyreg.__newobj__(cls)):
        with pytest.raises(TypeError):
            make()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_cannot_be_pickled(client: tb.Client, protocol: int) -> None:
    for thing in (client, client.list()[0], client.watch("kept"), client.events()):
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(thing, protocol)

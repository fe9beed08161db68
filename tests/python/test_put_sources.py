"""What put takes: every source in one pass without a temporary, other threads running meanwhile; what it refuses."""

import array
import select
import threading
import types
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import tensorbroker as tb
import torch
from support import run

MIB = 1 << 20

# No more private memory than is in use, and 64 MiB, may be had: the copy of 256 MiB that a temporary would be cannot.
LIMITED = """
import resource, sys
import numpy as np, tensorbroker as tb, torch
base = np.arange(1 << 26, dtype=np.float32).reshape(1 << 13, 1 << 13)
base %= 1021
source = {source}
expected = {expected}
tb.put("warm", [1])
held = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (held + (64 << 20), resource.RLIM_INFINITY))
try:
    np.ones(1 << 28, np.uint8)
    print("the limit does not hold")
except MemoryError:
    pass
tensor = tb.put("x", source{options})
resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
if isinstance(tensor, tb.Bundle):
    tensor = tensor["a"]
print(tensor.nbytes, tensor.dtype, np.array_equal(tensor.numpy(), expected))
"""


@pytest.mark.parametrize(
    ("source", "options", "expected", "result"),
    [
        ("base.T[:, ::1]", "", "base.T", "268435456 torch.float32 True"),
        ("base[::2].reshape(1 << 11, 2, 1 << 13).T[:, :, ::-1]", "", "source", "134217728 torch.float32 True"),
        ("torch.from_numpy(base)[:, ::2]", "", "base[:, ::2]", "134217728 torch.float32 True"),
        ("np.broadcast_to(base[0], (1 << 13, 1 << 13))", "", "source", "268435456 torch.float32 True"),
        ("torch.from_numpy(base)[0].expand(1 << 13, 1 << 13)", "", "source.numpy()", "268435456 torch.float32 True"),
        ("base[::-1, ::-1]", "", "source", "268435456 torch.float32 True"),
        ("base", ", dtype=tb.int32", "base", "268435456 torch.int32 True"),
        ("base.T[::-1]", ", dtype=tb.int32", "source", "268435456 torch.int32 True"),
        ("memoryview(base)[::-1]", "", "base[::-1]", "268435456 torch.float32 True"),
        ("{'a': base.T}", ", dtype=tb.int32", "base.T", "268435456 torch.int32 True"),
        ("{'a': base[::-1]}", "", "base[::-1]", "268435456 torch.float32 True"),
    ],
)  # fmt: skip
def test_one_pass_without_a_temporary(client: tb.Client, source: str, options: str, expected: str, result: str) -> None:
    """No contiguous copy on the way, whatever the strides and the dtype."""
    assert run(LIMITED.format(source=source, options=options, expected=expected)) == result + "\n"


def turns_within(calls: int, put: Callable[[], object]) -> list[int]:
    """Count how often another thread takes the GIL within each of some calls, sorted."""
    state = types.SimpleNamespace(turns=0, over=False)

    def turn() -> None:
        while not state.over:
            state.turns += 1
            select.select([], [], [], 0)  # gives the GIL up; it comes back only where the other thread gives it up, too

    thread = threading.Thread(target=turn)
    thread.start()
    found = []
    try:
        for _ in range(calls):
            before = state.turns
            put()
            found.append(state.turns - before)
    finally:
        state.over = True
        thread.join()
    return sorted(found)


@pytest.mark.parametrize("options", [{}, {"dtype": tb.float64}], ids=["copied", "converted"])
def test_other_threads_run_while_put_copies(client: tb.Client, options: dict[str, object]) -> None:
    """Another thread takes the GIL far more often than within a put that copies next to nothing."""
    source = np.zeros((1 << 12, 1 << 12), np.float32).T
    little = turns_within(51, lambda: client.put("x", source[:2, :2], **options))[25]
    assert turns_within(20, lambda: client.put("x", source, **options))[-1] > 10 * (little + 1)


class Interface:
    """What has __array_interface__ and nothing else."""

    def __init__(self, base: np.ndarray) -> None:
        self.base = base
        self.__array_interface__ = base.__array_interface__


class OnlyArray:
    """What has __array__ and nothing else."""

    def __init__(self, base: np.ndarray) -> None:
        self.base = base

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return self.base


class OnlyDlpack:
    """What has __dlpack__ and nothing else."""

    def __init__(self, base: object) -> None:
        self.base = base

    def __dlpack__(self, **options: object) -> object:
        return self.base.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def read_only(base: np.ndarray) -> np.ndarray:
    base.flags.writeable = False
    return base


BASE = np.arange(12, dtype=np.int32).reshape(3, 4)
STRUCTURED = np.array([(1, 2.5, 7), (3, 4.5, 8)], dtype=[("a", "i1"), ("b", "<f4"), ("c", "i1")])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Interface(BASE.T), BASE.T),
        (Interface(BASE[::-1]), BASE[::-1]),
        (OnlyArray(BASE[:, ::2]), BASE[:, ::2]),
        (OnlyDlpack(torch.from_numpy(BASE).t()), BASE.T),
        (memoryview(BASE)[1:], BASE[1:]),
        (memoryview(BASE)[::-2], BASE[::-2]),
        (memoryview(b"\x01\x02\x03")[::-1], np.array([3, 2, 1], np.uint8)),
        (memoryview(bytes(24)).cast("i", [2, 3]), np.zeros((2, 3), np.int32)),
        (bytearray(b"\x01\x02"), np.array([1, 2], np.uint8)),
        (bytearray(), np.array([], np.uint8)),
        (array.array("d", [1.5, 2]), np.array([1.5, 2])),
        (array.array("h", [-1]), np.array([-1], np.int16)),
        (read_only(np.arange(3)), np.arange(3)),
        (np.matrix([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]])),
        (BASE.astype(">i4").T, BASE.T),
        (np.arange(3, dtype=">f8")[::-1], np.array([2.0, 1, 0])),
        (STRUCTURED["b"], np.array([2.5, 4.5], np.float32)),
        (STRUCTURED["c"][::-1], np.array([8, 7], np.int8)),
        (pd.Series([1.5, 2.5]), np.array([1.5, 2.5])),
        (pd.Series([True, False]), np.array([True, False])),
        (pd.DataFrame({"a": [1, 2], "b": [3, 4]}), np.array([[1, 3], [2, 4]])),
        (torch.ones(3, requires_grad=True), np.ones(3, np.float32)),
        (torch.tensor([1 + 2j]).conj().imag, np.array([-2], np.float32)),
        (torch.ones(2, 3).t().requires_grad_() * 2, np.full((3, 2), 2, np.float32)),
        ([np.array([1.0, 2]), [3, 4]], np.array([[1.0, 2], [3, 4]])),
        ([[0.5]], np.array([[0.5]], np.float32)),
        ([np.float32(1), True], np.array([1, 1], np.float32)),
    ],
    ids=range(27),
)  # fmt: skip
def test_sources(client: tb.Client, source: object, expected: np.ndarray) -> None:
    stored = client.put("x", source)
    assert stored.dtype is tb.from_numpy(np.array(expected)).dtype
    assert np.array_equal(stored.numpy(), expected)
    if not isinstance(source, list):  # lists in a mapping may be nested bundles
        member = client.put("b", {"m": source})["m"]
        assert member.dtype is stored.dtype and np.array_equal(member.numpy(), expected)
    wide = client.put("x", source, dtype=tb.float64)
    assert np.array_equal(wide.numpy(), np.asarray(expected, np.float64))


def test_jax_arrays(client: tb.Client, jax: types.ModuleType) -> None:
    values = jax.numpy.arange(6.0).reshape(2, 3)
    assert np.array_equal(client.put("x", values).numpy(), np.asarray(values))
    assert np.array_equal(client.put("x", values.T, dtype="int8").numpy(), np.asarray(values).T)


@pytest.mark.parametrize(
    ("data", "named", "remedy"),
    [
        (np.array([object()]), "object", r"\.astype"),
        (pd.Series(["a", "b"], dtype=object), "object", r"\.astype"),
        (pd.Series(pd.to_datetime(["2020-01-01"])), "datetime64", r"\.view\(np\.int64\)"),
        (np.array([1], "m8[s]"), "timedelta64", r"\.view\(np\.int64\)"),
        (np.array(["a"], np.dtypes.StringDType()), "StringDType", "metadata"),
        (np.ones(1, np.clongdouble), "complex256", "convert it"),
        (np.longdouble(1), "longdouble", "float64|convert"),
        (STRUCTURED, "'a'", "each field under its own name"),
        (np.ma.masked_array([1, 2]), "MaskedArray", r"\.filled\(\)"),
        (OnlyArray(np.ma.masked_array([1, 2], [True, False])), "MaskedArray", r"\.filled\(\)"),
        (np.ma.masked, "MaskedConstant", r"\.filled\(\)"),
        ([np.ma.masked_array([1, 2], [True, False])], "MaskedArray", r"\.filled\(\)"),
        (torch.eye(2).to_sparse_csr(), "torch.sparse_csr", r"\.to_dense\(\)"),
        (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "torch.qint8", r"\.dequantize\(\)"),
        (torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "nested", r"\.unbind\(\)"),
        (torch.ones(2, device="meta"), "meta", "no elements"),
        ({"a": [1], "b": {1, 2}}, "member 'b'.*'set'", "metadata"),
    ],
    ids=range(17),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_refused_with_what_to_do(client: tb.Client, data: object, named: str, remedy: str) -> None:
    used = client.stats()["used"]
    with pytest.raises(TypeError, match=named) as raised:
        client.put("x", data)
    assert raised.match(remedy)
    assert (client.stats()["used"], list(client)) == (used, [])


def test_what_would_be_larger_than_memory_can_be(client: tb.Client) -> None:
    """A broadcast one whose bytes cannot be counted: an error, not a tensor without memory."""
    endless = torch.ones(1).expand(1 << 62)
    for data in (endless, {"a": endless}):
        with pytest.raises(RuntimeError, match=r"overflowed with sizes=.4611686018427387904"):
            client.put("x", data)
    with pytest.raises(RuntimeError, match="overflowed"):
        client.put("x", torch.ones(1, dtype=torch.int8).expand(1 << 61), dtype=tb.float64)
    assert list(client) == []


def test_arrays_in_lists_that_are_large_only_by_their_strides(client: tb.Client) -> None:
    """Without elements: taken at once, however many empty rows; with too many: an error before memory is used up."""
    empty = np.broadcast_to(np.zeros((3, 0)), (1 << 40, 3, 0))
    assert client.put("x", [empty], overwrite=True).shape == (1, 1 << 40, 3, 0)
    with pytest.raises(ValueError, match="expected sequence of length 1099511627776 at dim 1"):
        client.put("y", [empty, np.zeros((4, 4))])
    for size in (1 << 40, 1 << 60):
        with pytest.raises(tb.OutOfMemoryError, match=f"an array of {size} elements; put the array itself"):
            client.put("y", [np.broadcast_to(np.int8(1), (size,))])
    assert list(client) == ["x"]


def test_sources_that_change_meanwhile(client: tb.Client) -> None:
    """An exporter is pinned while it is read, and what is read of an array is fixed at the start."""
    buffer = bytearray(64 * MIB)
    values = np.zeros(16 * MIB, np.uint8)
    state = types.SimpleNamespace(over=False, refused=0, resized=0)

    def change() -> None:
        while not state.over:
            try:
                buffer.append(0)
                buffer.pop()
                state.resized += 1
            except BufferError:
                state.refused += 1
            values.shape = (1024, -1) if values.ndim == 1 else (-1,)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(20):
            assert client.put("x", buffer).nbytes in range(64 * MIB, 64 * MIB + 2)
            assert client.put("y", values).nbytes == 16 * MIB
            if state.refused and state.resized:
                break
    finally:
        state.over = True
        thread.join()
    assert state.refused, "the buffer could be resized while it was copied"


class Clearing:
    """A number that empties the list that it is in."""

    def __init__(self, values: list[object]) -> None:
        self.values = values

    def __float__(self) -> float:
        self.values.clear()
        return 1.0

    def __index__(self) -> int:
        self.values.clear()
        return 1


def test_a_list_that_changes_while_it_is_read(client: tb.Client) -> None:
    values: list[object] = [1, 2]
    values += [Clearing(values), 3]
    with pytest.raises((TypeError, ValueError)):
        client.put("x", values)
    members: dict[str, object] = {"a": [1]}
    members["b"] = type("Growing", (OnlyArray,), {"__array__": lambda s, *a, **k: members.update(c=1) or s.base})(BASE)
    with pytest.raises(RuntimeError, match="changed size"):
        client.put("x", members)
    assert list(client) == []


@pytest.mark.parametrize(
    ("members", "most"),
    [
        (lambda t: {"a": t, "b": t}, 1),
        (lambda t: {"a": t, "b": t.view(-1)}, 1),
        (lambda t: {"a": t, "b": t.t()}, 1),
        (lambda t: {"a": t[:600], "b": t[400:]}, 1),
        (lambda t: {"a": t.numpy(), "b": t}, 1),
        (lambda t: {"deep": {"a": t}, "b": [t[1:]]}, 1),
        (lambda t: {"a": t.t(), "b": t.clone()}, 2),
    ],
    ids=range(7),
)  # fmt: skip
def test_tied_members_are_stored_once(client: tb.Client, members: object, most: int) -> None:
    values = torch.arange(1_000_000, dtype=torch.float32).reshape(1000, 1000)
    live = client.stats()["live"]
    stored = client.put("b", members(values))
    assert most * values.nbytes <= client.stats()["live"] - live < most * values.nbytes + 8192
    flat = members(values)
    for name, tensor in stored.items():
        value = flat
        for part in name.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
        assert np.array_equal(tensor.numpy(), np.asarray(value)), name


def test_converted_members_stay_tied(client: tb.Client) -> None:
    values = torch.arange(1000, dtype=torch.float32)
    bundle = client.put("b", {"a": values, "b": values, "c": values[10:]}, dtype=tb.int64)
    assert bundle["a"].data_ptr() == bundle["b"].data_ptr() != bundle["c"].data_ptr()
    assert bundle["c"].tolist() == list(range(10, 1000))
    assert bundle["a"].dtype is tb.int64

"""Putting, getting, replacing, deleting, listing."""

import json
import resource
import time
from pathlib import Path

import numpy as np
import pytest
import tensorbroker as tb
import torch
from support import LIMIT, Broker, expect_within, run


def test_what_was_put_is_what_is_got(client: tb.Client) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    put = client.put("a/b", array)
    got = client.get("a/b")
    assert np.array_equal(got.numpy(), array)
    assert (got.name, got.version, got.dtype, tuple(got.shape)) == ("a/b", put.version, tb.float32, (3, 4))
    assert got.sealed and not got.mutable
    assert got.data_ptr() == put.data_ptr()


def test_put_copies(client: tb.Client) -> None:
    array = np.ones(3)
    client.put("x", array)
    array[:] = 2
    assert client.get("x").tolist() == [1, 1, 1]


def test_another_process_reads_the_same(client: tb.Client) -> None:
    client.put("x", np.arange(6).reshape(2, 3), metadata={"step": 1})
    code = "import tensorbroker as tb; t = tb.get('x'); print(t.tolist(), t.metadata, t.version)"
    assert run(code) == f"[[0, 1, 2], [3, 4, 5]] {{'step': 1}} {client.get('x').version}\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (np.array([1, 2], np.int16), torch.tensor([1, 2], dtype=torch.int16)),
        (np.float64(2.5), torch.tensor(2.5, dtype=torch.float64)),
        (torch.arange(4).reshape(2, 2), torch.tensor([[0, 1], [2, 3]])),
        (torch.nn.Parameter(torch.ones(2)), torch.ones(2)),
        (torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16)),
        (torch.tensor([1 + 2j]).conj(), torch.tensor([1 - 2j])),
        (3, torch.tensor(3)),
        (2.5, torch.tensor(2.5)),
        (True, torch.tensor(True)),
        (1j, torch.tensor(1j)),
        ([[1, 2], [3, 4]], torch.tensor([[1, 2], [3, 4]])),
        ([1.5, 2], torch.tensor([1.5, 2])),
        ([], torch.tensor([])),
        (b"\x01\x02", torch.tensor([1, 2], dtype=torch.uint8)),
        (memoryview(np.arange(3)), torch.arange(3)),
        (range(3), torch.arange(3)),
        (np.ones((2, 0)), torch.ones(2, 0, dtype=torch.float64)),
        (np.arange(6).reshape(2, 3).astype(">i4"), torch.arange(6, dtype=torch.int32).reshape(2, 3)),
        (np.arange(4)[::-1], torch.tensor([3, 2, 1, 0])),
    ],
    ids=repr,
)
def test_data(client: tb.Client, data: object, expected: torch.Tensor) -> None:
    """Whatever stands for a tensor is taken."""
    tensor = client.put("x", data).torch()
    assert tensor.dtype == expected.dtype
    assert torch.equal(tensor, expected)


class Array:
    """What has __array__ and nothing else."""

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return np.array([1, 2, 3])


class Capsule:
    """What has __dlpack__ and nothing else."""

    def __dlpack__(self, **options: object) -> object:
        return torch.arange(3).__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def test_protocols(client: tb.Client) -> None:
    assert client.put("x", Array()).tolist() == [1, 2, 3]
    assert client.put("x", Capsule()).tolist() == [0, 1, 2]
    assert client.put("y", client.get("x")).tolist() == [0, 1, 2]


def test_dtype_converts(client: tb.Client) -> None:
    assert client.put("x", [1, 2], dtype=tb.float64).dtype is tb.float64
    assert client.put("x", np.array([1.7, -1.7]), dtype="int8").tolist() == [1, -1]
    assert client.put("x", torch.ones(2), dtype=torch.bfloat16).dtype is tb.bfloat16
    assert client.put("x", np.ones(2), dtype=np.float32).dtype is tb.float32


def test_strides_are_kept_where_dense(client: tb.Client) -> None:
    for source in (torch.empty(2, 3, 4), torch.empty(2, 3).t(), torch.empty(4, 6)[:, ::2], torch.ones(3).expand(2, 3)):
        assert client.put("x", source).stride() == source.clone().stride()


def test_replacing(client: tb.Client) -> None:
    first = client.put("x", [1])
    second = client.put("x", [2, 3])
    assert second.version > first.version
    assert first.tolist() == [1]
    assert client.get("x").tolist() == [2, 3]
    with pytest.raises(tb.ExistsError, match="'x' is there already"):
        client.put("x", [4], overwrite=False)
    assert client.get("x").version == second.version


def test_put_many(client: tb.Client) -> None:
    put = client.put_many({f"rows/{i}": np.full(3, i) for i in range(100)}, dtype="float64", metadata={"step": 7})
    assert list(put) == [f"rows/{i}" for i in range(100)]
    assert put["rows/42"].tolist() == [42.0] * 3
    assert client.get("rows/42").metadata == {"step": 7}
    assert client.get("rows/99").version == put["rows/99"].version
    assert client.put_many({}) == {}


def test_put_many_refuses_what_is_no_tensor(client: tb.Client) -> None:
    with pytest.raises(TypeError, match="mapping of names to tensors, not"):
        client.put_many([("x", [1])])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"the tensor 'b'.*for bundles call put"):
        client.put_many({"a": [1], "b": {"w": [1]}})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="names are str, not 'int'"):
        client.put_many({1: [1]})  # type: ignore[dict-item]
    assert len(client) == 0
    client.put("a", [1])
    with pytest.raises(tb.ExistsError, match="'a'"):
        client.put_many({"a": [2]}, overwrite=False)
    assert client.get("a").tolist() == [1]


def test_put_without_waiting(client: tb.Client) -> None:
    data = np.zeros(3)
    for i in range(100):
        data[:] = i
        assert client.put(f"rows/{i % 10}", data, dtype="float32", metadata={"step": i}, wait=False) is None  # type: ignore[func-returns-value]
    assert client.put("model", {"w": data, "deep": {"b": data}}, wait=False) is None  # type: ignore[func-returns-value]
    client.flush()
    assert client.get("rows/7").tolist() == [97.0] * 3
    assert client.get("rows/7").metadata == {"step": 97}
    assert client.get("model").nested()["deep"]["b"].tolist() == [99.0] * 3
    client.flush()


def test_what_is_seen_to_be_wrong_is_raised_at_once_without_waiting_too(client: tb.Client) -> None:
    with pytest.raises(tb.OutOfMemoryError):
        client.put("x", np.zeros(1 << 30), wait=False)
    client.put("kept", [1])
    with pytest.raises(tb.ExistsError, match="'kept'"):
        client.put("kept", [2], overwrite=False, wait=False)
    client.flush()


def test_what_is_refused_without_waiting_is_raised_by_flush(broker: Broker) -> None:
    """Neither of two finds the name taken, since the broker does not carry out the first before both are sent."""
    with broker.connect() as client:
        client.put("warm", [1])
        with broker.stopped():
            client.put("x", [1], overwrite=False, wait=False)
            client.put("x", [2], overwrite=False, wait=False)
        with pytest.raises(tb.ExistsError, match="'x'"):
            client.flush()
        client.flush()
        assert client.get("x").tolist() == [1]


def test_close_flushes(broker: Broker) -> None:
    with broker.connect() as client, broker.connect() as other:
        other.put("x", [7], wait=False)
        other.close()
        assert client.get("x").tolist() == [7]


def test_replaced_by_another_kind(client: tb.Client) -> None:
    client.put("x", [1])
    client.put("x", {"a": [1]})
    assert isinstance(client.get("x"), tb.Bundle)
    client.delete("x")
    client.zeros(2, name="x")
    client.put("x", [2])
    assert client.get("x").sealed


def test_delete(client: tb.Client) -> None:
    kept = client.put("x", [1])
    client.delete("x")
    assert not client.exists("x")
    assert kept.tolist() == [1]
    with pytest.raises(tb.NotFoundError, match="there is no 'x'"):
        client.delete("x")
    with pytest.raises(tb.NotFoundError, match="there is no 'x'"):
        client.get("x")


def test_container_protocol(client: tb.Client) -> None:
    for name in ("b", "a/2", "a/10", "ä"):
        client.put(name, 1)
    assert list(client) == sorted(["b", "a/2", "a/10", "ä"], key=str.encode)
    assert len(client) == 4
    assert "b" in client
    assert "c" not in client


def test_list(client: tb.Client) -> None:
    before = time.time()
    client.put("m/t", np.ones((2, 3), np.float16), metadata={"k": [1, None]})
    client.put("m/b", {"x": [1.0], "y": [2, 3]})
    client.zeros(4, name="m/z", dtype="int8")
    client.put("other", 1)
    bundle, tensor, mutable = client.list("m/")
    assert (tensor.name, tensor.kind, tensor.dtype, tensor.shape) == ("m/t", "tensor", tb.float16, (2, 3))
    assert (tensor.nbytes, tensor.metadata, tensor.mutable) == (12, {"k": [1, None]}, False)
    assert tensor.version == client.get("m/t").version
    assert before - 5 < tensor.created < time.time() + 5
    assert (bundle.kind, bundle.dtype, bundle.shape, bundle.nbytes) == ("bundle", None, (2,), 20)
    assert mutable.mutable
    assert "Info('m/t', kind='tensor', dtype=torch.float16, shape=[2, 3]" in repr(tensor)
    assert client.open(tensor.handle).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_holders(client: tb.Client) -> None:
    held = client.put("x", [1])
    info = client.list("x")[0]
    assert info.holders == 1
    held.release()
    assert info.holders == 0


def test_stats(client: tb.Client) -> None:
    client.put("x", np.zeros(1 << 20, np.uint8))
    client.put("b", {"x": [1]})
    stats = client.stats()
    assert json.loads(json.dumps(stats)) == stats
    assert stats["instance"] == client.instance
    assert (stats["tensors"], stats["bundles"]) == (1, 1)
    assert stats["capacity"] == 512 << 20
    assert 1 << 20 <= stats["live"] <= stats["used"]
    assert stats["sessions"] >= 1
    assert stats["uptime"] > 0
    assert isinstance(stats["limits"], dict)
    assert isinstance(stats["counters"], dict)


def test_metadata(client: tb.Client) -> None:
    metadata = {"step": 1, "loss": 0.25, "name": "ä", "nested": {"list": [True, None]}}
    client.put("x", [1], metadata=metadata)
    assert client.get("x").metadata == metadata
    assert client.put("y", [1]).metadata == {}


def test_a_trainer_that_replaces_its_model_takes_no_more_than_three_versions(client: tb.Client) -> None:
    size = 4 << 20
    used = client.stats()["used"]
    for step in range(200):
        client.put("model", np.full(size, step % 256, np.uint8))
    assert client.get("model").numpy()[-1] == 199
    assert client.stats()["used"] - used <= 3 * size


def test_reserve(client: tb.Client) -> None:
    client.reserve("16MiB")
    client.reserve(1 << 20)


def populated_bytes() -> int:
    """Return how much of its extents this process has in its page tables."""
    found, is_extent = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        fields = line.split()
        if not fields[0].endswith(":"):
            is_extent = fields[1] == "rw-s" and ".arena." in line
        elif is_extent and fields[0] == "Rss:":
            found += int(fields[1]) << 10
    return found


def test_a_put_into_reserved_pages_takes_no_page_faults(broker: Broker) -> None:
    data = np.ones(64 << 20, np.uint8)
    with broker.connect() as client:
        before = populated_bytes()
        client.reserve(data.nbytes)
        expect_within(LIMIT, lambda: populated_bytes() >= before + data.nbytes, True)
        faults = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        tensor = client.put("reserved", data)
        assert resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - faults <= 128, f"of {data.nbytes // 4096} pages"
        assert tensor.numpy()[-1] == 1
        del tensor


def test_module_functions_use_one_client_for_the_process() -> None:
    tensor = tb.put("x", [1, 2])
    assert tb.get("x").data_ptr() == tensor.data_ptr()
    assert tb.exists("x")
    assert [info.name for info in tb.list()] == ["x"]
    assert tb.stats()["sessions"] >= 1
    assert tb.open("x", "c").tolist() == [1, 2]
    tb.delete("x")
    assert not tb.exists("x")


def test_close() -> None:
    with tb.connect() as client:
        tensor = client.put("x", [1])
        assert repr(client) == f"Client('{client.instance}')"
    client.close()
    assert client.closed
    assert tensor.tolist() == [1]
    with pytest.raises(tb.ClosedError, match="was closed; connect again"):
        client.get("x")
    with pytest.raises(tb.ClosedError):
        client.put("y", [1])

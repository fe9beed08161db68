"""Tensor against torch: shapes, views, indexing, numbers, printing, errors."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorbroker as tb
import torch


def pair(*shape: int, dtype: torch.dtype = torch.int64) -> tuple[Any, torch.Tensor]:
    """Return the same tensor in both libraries."""
    oracle = torch.arange(int(np.prod(shape))).reshape(shape).to(dtype)
    return tb.tensor(oracle), oracle


def check_same(tensor: Any, oracle: torch.Tensor) -> None:
    """Compare all that the two tell of themselves."""
    assert tuple(tensor.shape) == tuple(oracle.shape)
    assert tensor.stride() == oracle.stride()
    assert tensor.storage_offset() == oracle.storage_offset()
    assert tensor.is_contiguous() == oracle.is_contiguous()
    assert repr(tensor.dtype) == repr(oracle.dtype)
    assert tensor.tolist() == oracle.tolist()
    assert repr(tensor) == repr(oracle)


VIEWS: list[Callable[[Any], Any]] = [
    lambda t: t,
    lambda t: t[1],
    lambda t: t[-1, 2],
    lambda t: t[0, 1, 2],
    lambda t: t[:, 1:, ::2],
    lambda t: t[..., 1],
    lambda t: t[None, :, None],
    lambda t: t[1, ..., :2],
    lambda t: t[5:],
    lambda t: t[()],
    lambda t: t[np.int64(1)],
    lambda t: t.view(6, 4),
    lambda t: t.view((4, -1)),
    lambda t: t.reshape(3, 8),
    lambda t: t.transpose(0, 1).reshape(6, 4),
    lambda t: t.flatten(),
    lambda t: t.flatten(1),
    lambda t: t.flatten(0, 1),
    lambda t: t.transpose(0, 2),
    lambda t: t.transpose(-1, -2)[1],
    lambda t: t.permute(2, 0, 1),
    lambda t: t.permute((1, 2, 0)),
    lambda t: t.select(1, 2),
    lambda t: t.narrow(2, 1, 2),
    lambda t: t[0].t(),
    lambda t: t[0].T,
    lambda t: t.unsqueeze(1),
    lambda t: t.unsqueeze(-1).squeeze(-1),
    lambda t: t[:1].squeeze(),
    lambda t: t[:1, :1].squeeze((0, 1)),
    lambda t: t[:1].expand(5, 3, 4),
    lambda t: t[0, :1].expand(2, -1, 4),
    lambda t: t.permute(2, 0, 1).clone(),
    lambda t: t.permute(2, 0, 1).contiguous(),
]


@pytest.mark.parametrize("view", VIEWS, ids=range(len(VIEWS)))
def test_views(view: Callable[[Any], Any]) -> None:
    tensor, oracle = pair(2, 3, 4)
    check_same(view(tensor), view(oracle))


BAD: list[Callable[[Any], Any]] = [
    lambda t: t[2],
    lambda t: t[0, 0, 0, 0],
    lambda t: t[::-1],
    lambda t: t[1.5],
    lambda t: t.view(5),
    lambda t: t.view(-1, -1),
    lambda t: t.transpose(0, 1).view(24),
    lambda t: t.reshape(7, -1),
    lambda t: t.transpose(0, 3),
    lambda t: t.permute(0, 1),
    lambda t: t.permute(0, 0, 1),
    lambda t: t.select(0, 2),
    lambda t: t.narrow(0, 1, 2),
    lambda t: t.t(),
    lambda t: t.unsqueeze(4),
    lambda t: t.squeeze(3),
    lambda t: t.expand(5, 3, 4),
    lambda t: t.size(3),
    lambda t: t.stride(-4),
    lambda t: t.item(),
    bool,
    int,
    float,
    lambda t: len(t[0, 0, 0]),
    lambda t: iter(t[0, 0, 0]),
    lambda t: bool(t[2:]),
    lambda t: range(3)[t],
    lambda t: t.flatten(2, 1),
]


@pytest.mark.parametrize("operation", BAD, ids=range(len(BAD)))
def test_errors_are_torchs(operation: Callable[[Any], Any]) -> None:
    tensor, oracle = pair(2, 3, 4)
    with pytest.raises(Exception) as expected:
        operation(oracle)
    with pytest.raises(expected.type):
        operation(tensor)


def test_what_is_asked_of_a_tensor() -> None:
    tensor, oracle = pair(2, 3, dtype=torch.float32)
    assert tensor.shape == oracle.shape
    assert repr(tensor.shape) == repr(oracle.shape)
    assert isinstance(tensor.shape[:1], tb.Size) and tensor.shape.numel() == 6
    assert tensor.size() == oracle.size() and tensor.size(-1) == 3 and tensor.stride(0) == 3
    assert (tensor.dim(), tensor.ndim, tensor.numel(), len(tensor)) == (2, 2, 6, 2)
    assert (tensor.element_size(), tensor.itemsize, tensor.nbytes) == (4, 4, 24)
    assert tensor.device == oracle.device and tensor.device == "cpu" and repr(tensor.device) == repr(oracle.device)
    assert tensor[1].data_ptr() == tensor.data_ptr() + 12


@pytest.mark.parametrize("value", [3, -2.5, True, 1 + 0j, 7.0], ids=repr)
def test_numbers(value: complex) -> None:
    tensor, oracle = tb.tensor(value), torch.tensor(value)
    assert type(tensor.item()) is type(oracle.item()) and tensor.item() == oracle.item()
    assert bool(tensor) == bool(oracle)
    assert int(tensor) == int(oracle)
    assert float(tensor) == float(oracle)
    assert complex(tensor) == complex(oracle)


def test_index() -> None:
    assert [10, 20, 30][tb.tensor(1)] == 20


def test_iteration() -> None:
    tensor, oracle = pair(3, 2)
    for mine, its in zip(tensor, oracle, strict=True):
        check_same(mine, its)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (2000,), (30, 50, 2), ()], ids=repr)
def test_printing(shape: tuple[int, ...]) -> None:
    for dtype in (torch.int32, torch.float32, torch.float64, torch.bfloat16, torch.bool):
        tensor, oracle = pair(*shape, dtype=dtype)
        assert repr(tensor) == str(tensor) == repr(oracle)


def assign(t: Any, key: Any, value: Any) -> Any:
    t[key] = value
    return t


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (0, 5),
        ((1, slice(None), 2), 7.9),
        (Ellipsis, torch.arange(4)),
        ((slice(None), 1), torch.ones(1, 2, 4)),
        (slice(1, 2), torch.ones(3, 1, dtype=torch.bool)),
        ((0, 0, 0), torch.tensor(3.5)),
        (slice(5, None), 1),
        ((0, slice(1, None)), torch.arange(8).reshape(4, 2).t()),
    ],
    ids=str,
)
def test_assignment(key: Any, value: Any) -> None:
    tensor, oracle = pair(2, 3, 4)
    check_same(assign(tensor, key, value), assign(oracle, key, value))


def test_assignment_takes_arrays_lists_and_tensors() -> None:
    tensor = tb.zeros(2, 3)
    tensor[0] = np.array([1, 2, 3])
    tensor[1] = [4, 5, 6]
    assert tensor.tolist() == [[1, 2, 3], [4, 5, 6]]
    tensor[:, :2] = tensor[:, 1:]  # overlapping
    assert tensor.tolist() == [[2, 3, 3], [5, 6, 6]]


@pytest.mark.parametrize("value", [torch.ones(3), torch.ones(2, 2, 3, 4)], ids=lambda v: str(tuple(v.shape)))
def test_bad_assignment(value: torch.Tensor) -> None:
    tensor, oracle = pair(2, 3, 4)
    with pytest.raises(RuntimeError) as expected:
        oracle[...] = value
    with pytest.raises(RuntimeError) as raised:
        tensor[...] = value
    assert type(raised.value) is type(expected.value)


def test_assignment_that_does_not_fit() -> None:
    tensor = tb.zeros(3, dtype=tb.int8)
    with pytest.raises(RuntimeError, match="overflow"):
        tensor[0] = 300
    with pytest.raises(RuntimeError, match="more than one element"):
        tb.zeros(1).expand(3)[:] = 1
    assert tensor.tolist() == [0, 0, 0]


def test_arithmetic_is_left_to_numpy_and_torch() -> None:
    tensor = tb.ones(2)
    for operation in (
        lambda: tensor + 1,
        lambda: 1 - tensor,
        lambda: tensor @ tensor,
        lambda: -tensor,
        lambda: abs(tensor),
        lambda: tensor < 1,
        lambda: tensor == tensor,
        lambda: tensor != 1,
        lambda: 1 in tensor,
    ):
        with pytest.raises(TypeError, match=r"call \.numpy\(\) or \.torch\(\)"):
            operation()
    with pytest.raises(TypeError, match=r"call \.numpy"):
        tensor += 1
    assert (tensor == None) is False  # noqa: E711
    assert (tensor != None) is True  # noqa: E711


def test_hash_is_identity() -> None:
    tensor = tb.ones(2)
    assert hash(tensor) == hash(tensor)
    assert {tensor: 1}[tensor] == 1
    assert hash(tensor) != hash(tensor[:])


def test_copies() -> None:
    tensor = tb.tensor([[1, 2], [3, 4]])
    shallow, deep, clone = copy.copy(tensor), copy.deepcopy(tensor), tensor.clone()
    tensor[0, 0] = 9
    assert shallow[0, 0].item() == 9
    assert deep[0, 0].item() == clone[0, 0].item() == 1
    assert clone.version == 0
    deep[0, 0] = 5  # writable, and its own
    assert tensor[0, 0].item() == 9


@pytest.mark.parametrize(
    ("make", "oracle"),
    [
        (lambda m: m.zeros(2, 3), None),
        (lambda m: m.zeros((2, 3), dtype=m.int32), None),
        (lambda m: m.ones(2, dtype=m.complex64), None),
        (lambda m: m.ones([2, 2], dtype=m.bool), None),
        (lambda m: m.full((2,), 7), None),
        (lambda m: m.full((2, 1), 2.5), None),
        (lambda m: m.full((2,), True), None),
        (lambda m: m.full((), 3, dtype=m.float16), None),
        (lambda m: m.tensor([[1, 2], [3, 4]]), None),
        (lambda m: m.tensor([1.5, 2], dtype=m.float64), None),
        (lambda m: m.tensor([True, 2]), None),
        (lambda m: m.tensor([1, 2.5, 1j]), None),
        (lambda m: m.tensor([[], []]), None),
        (lambda m: m.zeros(()), None),
        (lambda m: m.zeros(0, 3), None),
        (lambda m: m.tensor(2**40), None),
        (lambda m: m.tensor(np.float32(1)), None),
        (lambda m: m.tensor([1e40], dtype=m.float32), None),
    ],
    ids=range(18),
)
def test_factories(make: Callable[[Any], Any], oracle: None) -> None:
    made = make(tb)
    check_same(made, make(torch))
    assert made.mutable and not made.sealed and made.name == "" and made.version > 0


def test_empty() -> None:
    assert tuple(tb.empty(2, 3).shape) == (2, 3)
    assert tb.empty((4,), dtype=tb.int8).nbytes == 4


def test_named_factories_share_pages(client: tb.Client) -> None:
    mine = client.zeros(2, 3, name="counters", metadata={"unit": "s"})
    other = client.open("counters", "r+")
    other[1, 2] = 5
    assert mine[1, 2].item() == 5
    assert mine.metadata == {"unit": "s"}
    with pytest.raises(tb.ExistsError, match="'counters' is there already"):
        client.ones(2, name="counters")


def test_release(client: tb.Client) -> None:
    tensor = client.put("x", [1, 2, 3])
    view, array = tensor[1:], tensor.numpy()
    tensor.release()
    tensor.release()
    with pytest.raises(tb.ClosedError, match="was released; get or open it again"):
        tensor.numpy()
    assert repr(tensor) == "tensor(<released>)"
    client.delete("x")
    assert view.tolist() == [2, 3]
    assert array.tolist() == [1, 2, 3]


def test_sealed_is_read_only(client: tb.Client) -> None:
    tensor = client.put("x", [1, 2])
    with pytest.raises(tb.ReadOnlyError, match="'x' is sealed"):
        tensor[0] = 5
    with pytest.raises(ValueError, match="read-only"):
        tensor.numpy()[0] = 5
    assert tensor.tolist() == [1, 2]


@pytest.mark.parametrize("index", [[], [0], [True], torch.zeros(1, 2, dtype=torch.bool)])
@pytest.mark.parametrize("shape", [(2, 3), (4, 1, 2, 4)])
def test_a_second_ellipsis_skips_as_much_again(shape: tuple[int, ...], index: object) -> None:
    tensor = tb.zeros(*shape)
    for key in ((..., ..., index), (None, ..., ..., index)):
        with pytest.raises(IndexError) as its:
            torch.zeros(shape)[key]
        with pytest.raises(IndexError) as mine:
            tensor[key]
        with pytest.raises(IndexError):
            tensor[key] = 1
        assert str(mine.value) == str(its.value)
    assert not tensor.numpy().any()


def test_one_value_for_a_mask_of_another_shape(client: tb.Client) -> None:
    """The mask is looked at before the other indices, as torch does."""
    index = ..., [True], torch.tensor([0], dtype=torch.int8)
    for tensor in (torch.zeros(0, 0, 0), client.zeros(0, 0, 0)):
        with pytest.raises(IndexError, match=r"The shape of the mask \[1\] at index 0"):
            tensor[index] = 1
        with pytest.raises(IndexError, match="must be long, int, byte or bool"):
            tensor[index] = torch.ones(2)

"""Every dtype, bit for bit, through NumPy and torch."""

import pickle

import ml_dtypes
import numpy as np
import pytest
import tensorbroker as tb
import torch

NUMPY_NAMES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
OTHER_NAMES = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]
NAMES = NUMPY_NAMES + OTHER_NAMES


def numpy_dtype(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name) if name in OTHER_NAMES else name)


@pytest.fixture
def bits(rng: np.random.Generator) -> np.ndarray:
    """Random bytes: every pattern, NaNs included."""
    return rng.integers(0, 256, 1 << 12, dtype=np.uint8)


def of_dtype(bits: np.ndarray, name: str) -> np.ndarray:
    return (bits & 1 if name == "bool" else bits).view(numpy_dtype(name))


@pytest.mark.parametrize("name", NAMES)
def test_numpy_round_trip(client: tb.Client, bits: np.ndarray, name: str) -> None:
    array = of_dtype(bits, name)
    got = client.put("x", array).numpy()
    assert got.dtype == array.dtype
    assert got.tobytes() == array.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_torch_round_trip(client: tb.Client, bits: np.ndarray, name: str) -> None:
    dtype = getattr(torch, name)
    source = torch.from_numpy(bits & 1 if name == "bool" else bits).view(dtype)
    tensor = client.put("x", source)
    assert repr(tensor.dtype) == repr(dtype)
    got = tensor.torch()
    assert got.dtype == dtype
    assert torch.equal(got.view(torch.uint8), source.view(torch.uint8))


@pytest.mark.parametrize("name", NAMES)
def test_the_dtype_object(name: str) -> None:
    dtype = getattr(tb, name)
    assert repr(dtype) == f"torch.{name}"
    assert (dtype.name, dtype.itemsize) == (name, numpy_dtype(name).itemsize)
    assert dtype.is_complex == getattr(torch, name).is_complex
    assert dtype.is_floating_point == getattr(torch, name).is_floating_point
    assert pickle.loads(pickle.dumps(dtype)) is dtype


@pytest.mark.parametrize("name", NAMES)
def test_every_way_to_name_it(name: str) -> None:
    dtype = getattr(tb, name)
    for other in (dtype, name, f"torch.{name}", getattr(torch, name), numpy_dtype(name), numpy_dtype(name).type):
        assert tb.zeros(1, dtype=other).dtype is dtype


def test_aliases() -> None:
    assert (tb.half, tb.float, tb.double) == (tb.float16, tb.float32, tb.float64)
    assert (tb.short, tb.int, tb.long) == (tb.int16, tb.int32, tb.int64)
    assert (tb.cfloat, tb.cdouble) == (tb.complex64, tb.complex128)


@pytest.mark.parametrize("name", NAMES)
def test_zeros_and_assignment(name: str) -> None:
    tensor = tb.zeros(3, dtype=name)
    if name != "float8_e8m0fnu":  # has no zero
        assert not any(tensor.tolist())
    tensor[1] = 1
    oracle = torch.zeros(3, dtype=getattr(torch, name))
    oracle[1] = 1
    assert torch.equal(tensor.torch().view(torch.uint8), oracle.view(torch.uint8))


@pytest.mark.parametrize("bad", ["float24", object, np.dtype("U3"), 5, "", torch.qint8], ids=repr)
def test_no_dtype(bad: object) -> None:
    with pytest.raises(TypeError, match="give a tensorbroker, NumPy or torch dtype"):
        tb.zeros(1, dtype=bad)

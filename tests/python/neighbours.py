"""The neighbours of a tensor: every way into another library and out of it, and where the elements lie then."""

import ctypes
import importlib
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime as ort
import pandas as pd
import safetensors.numpy
import safetensors.torch
import scipy.sparse
import tensorbroker as tb
import torch
from sklearn.utils import check_array

# Dtypes that every neighbour treats alike, so that one column of the page stands for all of a group.
GROUPS = {
    "bool": ["bool"],
    "integers": ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"],
    "float16": ["float16"],
    "float32, float64": ["float32", "float64"],
    "complex": ["complex64", "complex128"],
    "bfloat16": ["bfloat16"],
    "float8": ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"],
}

# ONNX's numbers of the types that NumPy has by way of ml_dtypes alone.
ONNX_TYPES = {
    "bfloat16": 16,
    "float8_e4m3fn": 17,
    "float8_e4m3fnuz": 18,
    "float8_e5m2": 19,
    "float8_e5m2fnuz": 20,
    "float8_e8m0fnu": 24,
}
ORT_NAMES = {"float": "float32", "double": "float64"}


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return NumPy's dtype, or that of ml_dtypes."""
    return np.dtype(getattr(ml_dtypes, name, name))


def sample(name: str, size: int = 64) -> np.ndarray:
    """Return an array of small numbers that every dtype can hold."""
    return (np.arange(size) % 2 + 1).astype(numpy_dtype(name))


def jax() -> Any:
    """Return the module, which only tests with the fixture of that name may use."""
    return importlib.import_module("jax")


def is_jax(thing: Any) -> bool:
    """Return whether it is an array of JAX, without importing it."""
    return type(thing).__module__.startswith("jax")


def address(thing: Any) -> int:
    """Return where the first element lies."""
    if isinstance(thing, memoryview):
        return int(np.asarray(thing).ctypes.data)
    if isinstance(thing, pd.DataFrame | pd.Series):
        return int(thing.to_numpy().ctypes.data)
    if isinstance(thing, np.ndarray):
        return int(thing.ctypes.data)
    return int(thing.unsafe_buffer_pointer()) if is_jax(thing) else int(thing.data_ptr())


def dtype_name(thing: Any) -> str:
    """Return what the library calls the elements, in our words."""
    if isinstance(thing, memoryview):
        return np.asarray(thing).dtype.name
    if isinstance(thing, ort.OrtValue):
        numbers = {number: name for name, number in ONNX_TYPES.items()}
        name = thing.data_type().removeprefix("tensor(").removesuffix(")")
        return numbers.get(thing.element_type(), ORT_NAMES.get(name, name))
    if isinstance(thing, pd.DataFrame | pd.Series):
        return thing.to_numpy().dtype.name
    if isinstance(thing, tb.Tensor):
        return thing.dtype.name
    return str(thing.dtype).removeprefix("torch.")


def as_array(thing: Any) -> np.ndarray:
    """Return the elements as an array, whatever their strides. REQUIRES: a dtype that NumPy has."""
    return thing.numpy() if isinstance(thing, ort.OrtValue | tb.Tensor) else np.asarray(thing)


def content(thing: Any, nbytes: int) -> bytes:
    """Return the bytes of the elements. REQUIRES: C order."""
    return ctypes.string_at(address(thing), nbytes) if nbytes else b""


def _both(first: Any, second: Any) -> Any:
    """Return what two ways give, which must lie at the same place. (That of no element is nowhere.)"""
    assert address(first) == address(second) or 0 in first.shape
    return first


def to_jax(tensor: tb.Tensor) -> Any:
    """Return what jnp.asarray() makes of it."""
    return jax().numpy.asarray(tensor)


def to_jax_by_dlpack(tensor: tb.Tensor) -> Any:
    """Return what jax.dlpack.from_dlpack() makes of it."""
    return jax().dlpack.from_dlpack(tensor)


def _to_ort(tensor: tb.Tensor) -> Any:
    number = ONNX_TYPES.get(tensor.dtype.name)
    array = tensor.numpy()
    if number is None:
        return ort.OrtValue.ortvalue_from_numpy(array)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, number)


def _to_scipy(tensor: tb.Tensor) -> Any:
    size = tensor.numel()
    return scipy.sparse.csr_array((tensor.numpy(), np.zeros(size, np.int32), np.array([0, size], np.int32))).data


def _to_sklearn(tensor: tb.Tensor) -> Any:
    return check_array(tensor.numpy().reshape(1, -1), dtype=None)


# Those that take tensors of any shape; the rest wants one or two dimensions.
TAKE_ANY_SHAPE = ("NumPy", "buffer protocol", "PyTorch", "JAX", "ONNX Runtime")

# Out: the neighbour, what one writes, and what that does.
OUT: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("NumPy", "`t.numpy()`, `np.asarray(t)`", lambda t: _both(t.numpy(), np.asarray(t))),
    ("NumPy", "`np.from_dlpack(t)`", np.from_dlpack),
    ("buffer protocol", "`memoryview(t)`", memoryview),
    ("PyTorch", "`t.torch()`, `torch.from_dlpack(t)`", lambda t: _both(t.torch(), torch.from_dlpack(t))),
    ("JAX", "`jnp.asarray(t)`", to_jax),
    ("JAX", "`jax.device_put(t.numpy())`", lambda t: jax().device_put(t.numpy())),
    ("JAX", "`jax.dlpack.from_dlpack(t)`", to_jax_by_dlpack),
    ("ONNX Runtime", "`OrtValue.ortvalue_from_numpy(t.numpy())` ¹", _to_ort),
    ("ONNX Runtime", "`OrtValue.from_dlpack(t)`", ort.OrtValue.from_dlpack),
    ("pandas", "`pd.Series(t.numpy(), copy=False)`", lambda t: pd.Series(t.numpy(), copy=False)),
    ("pandas", "`pd.DataFrame(t.numpy(), copy=False)`", lambda t: pd.DataFrame(t.numpy().reshape(-1, 1), copy=False)),
    ("SciPy", "`csr_array((t.numpy(), ...))`", _to_scipy),
    ("scikit-learn", "what an estimator reads of `t.numpy()`", _to_sklearn),
]


def _torch_sample(name: str) -> torch.Tensor:
    bits = torch.from_numpy(sample(name).view(np.uint8))
    return bits.view(getattr(torch, name))


def _ort_sample(name: str) -> Any:
    return ort.OrtValue.ortvalue_from_numpy(sample(name))


def _file_sample(name: str) -> Any:
    return safetensors.numpy.load(safetensors.numpy.save({"x": sample(name)}))["x"]


def _torch_file_sample(name: str) -> Any:
    return safetensors.torch.load(safetensors.torch.save({"x": _torch_sample(name)}))["x"]


# In: the neighbour, what one writes, an array of the neighbour by the name of a dtype, and how it becomes a tensor.
IN: list[tuple[str, str, Callable[[str], Any], Callable[[Any], tb.Tensor]]] = [
    ("NumPy", "`tb.from_numpy(a)`", sample, tb.from_numpy),
    ("NumPy", "`tb.from_dlpack(a)`", sample, tb.from_dlpack),
    ("PyTorch", "`tb.from_dlpack(x)`", _torch_sample, tb.from_dlpack),
    ("JAX", "`tb.from_dlpack(x)`", lambda name: jax().numpy.asarray(sample(name)), tb.from_dlpack),
    (
        "JAX",
        "`tb.from_numpy(np.asarray(x))`",
        lambda name: jax().numpy.asarray(sample(name)),
        lambda x: tb.from_numpy(np.asarray(x)),
    ),
    ("ONNX Runtime", "`tb.from_dlpack(v)`", _ort_sample, tb.from_dlpack),
    (
        "pandas",
        "`tb.from_numpy(s.to_numpy())`",
        lambda name: pd.Series(sample(name)),
        lambda s: tb.from_numpy(s.to_numpy()),
    ),
    ("safetensors", "`tb.from_numpy(load(...)[name])`", _file_sample, tb.from_numpy),
    ("safetensors", "`tb.from_dlpack(load(...)[name])`, of `safetensors.torch`", _torch_file_sample, tb.from_dlpack),
]

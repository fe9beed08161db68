"""The random numbers of rand and randn: NumPy's, not torch's, so the values differ from torch's for the same seed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorbroker import _core

if TYPE_CHECKING:  # numpy.random and numpy.typing take half of this package's import, which few programs need
    from numpy.typing import NDArray

# The uniform numbers of a short float are multiples of this many binary places, so that none rounds up to 1.
_PLACES = {"float16": 11, "bfloat16": 8}


class _Default:
    """The generator for calls that name none, made at first use. A forked child goes on with its parent's state."""

    generator: np.random.Generator | None = None


def manual_seed(seed: int) -> np.random.Generator:
    """Seed the generator that `rand` and `randn` use where none is given, and return it (NumPy's, a PCG64).

    Args:
        seed: a number that is not negative.

    Raises:
        ValueError: it is negative.
        TypeError: it is no integer.
    """
    _Default.generator = np.random.default_rng(seed)
    return _Default.generator


def _checked(generator: Any) -> np.random.Generator:
    if generator is None:
        if _Default.generator is None:
            _Default.generator = np.random.default_rng()
        return _Default.generator
    if isinstance(generator, np.random.Generator):
        return generator
    raise TypeError(
        f"generator must be a numpy.random.Generator, such as numpy.random.default_rng(seed) gives, not {generator!r}"
    )


def _real(dtype: _core.dtype) -> type[np.float32] | type[np.float64]:
    return np.float64 if dtype.name in ("float64", "complex128") else np.float32


def uniform(count: int, dtype: _core.dtype, generator: Any) -> NDArray[Any]:
    """Return numbers from 0 up to, but without, 1, that the dtype holds; complex ones have two of them each."""
    source = _checked(generator)
    if dtype.name in _PLACES:
        limit = 1 << _PLACES[dtype.name]
        return (source.integers(0, limit, count, dtype=np.int64) / limit).astype(np.float32)
    if dtype.is_complex:
        return source.random(2 * count, dtype=_real(dtype)).view(dtype.name)
    return source.random(count, dtype=_real(dtype))


def normal(count: int, dtype: _core.dtype, generator: Any) -> NDArray[Any]:
    """Return numbers of mean 0 and variance 1, to which both parts of a complex one contribute half."""
    source = _checked(generator)
    if dtype.is_complex:
        parts = source.standard_normal(2 * count, dtype=_real(dtype))
        parts *= math.sqrt(0.5)
        return parts.view(dtype.name)
    return source.standard_normal(count, dtype=_real(dtype))

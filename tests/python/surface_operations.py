"""The steps that programs of surface.py are made of: each function draws the arguments of some operations."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import surface
import torch
from surface import INTEGERS, Operation, Pair, Program

EXTREMES = [2**62, -(2**62), 2**63 - 1, -(2**63), 2**70]
WRONG_TYPES = ["a", 1.5, None, True, [1.5], ("a",), object, b"x"]


def method(name: str, *arguments: Any, writes: bool = False, **named: Any) -> Operation:
    """Return a step that calls a method."""

    def call(tensor: Any, *resolved: Any) -> Any:
        return getattr(tensor, name)(*resolved, **named)

    return Operation(name, arguments, call, writes)


def dim_of(tensor: torch.Tensor, rng: random.Random) -> int:
    """Return a dimension, seldom one that is not there."""
    if tensor.dim() == 0 or rng.random() < 0.06:
        return rng.randint(-tensor.dim() - 1, tensor.dim())
    return rng.randint(-tensor.dim(), tensor.dim() - 1)


def number(rng: random.Random) -> int:
    """Return an int around 0, seldom an extreme one."""
    return rng.choice(EXTREMES) if rng.random() < 0.03 else rng.randint(-6, 6)


def factors(count: int, rng: random.Random) -> list[int]:
    """Return sizes whose product it is; few are 1, since torch sets no limit to their number and this package does."""
    shape: list[int] = []
    while count > 1:
        smallest = 1 if len(shape) < 8 else 2
        factor = rng.choice([f for f in range(smallest, min(count, 12) + 1) if count % f == 0] + [count])
        shape.append(factor)
        count //= factor
    return shape


def drawn_shape(tensor: torch.Tensor, rng: random.Random) -> list[int]:
    """Return a shape, mostly one with as many elements as the tensor has."""
    shape = factors(tensor.numel(), rng) if tensor.numel() and rng.random() < 0.9 else surface.drawn_sizes(rng)
    if rng.random() < 0.3:
        shape.insert(rng.randint(0, len(shape)), 1)
    if shape and rng.random() < 0.3:
        shape[rng.randrange(len(shape))] = -1
    if shape and rng.random() < 0.03:
        # Beside a size of 0 torch overflows silently, or later.
        shape[rng.randrange(len(shape))] = rng.choice(
            [-1, -2, 2**62] if tensor.numel() and 0 not in shape else [-1, -2]
        )
    return shape


def spelled(name: str, sizes: list[int], rng: random.Random) -> Operation:
    """Return a call with sizes one by one, as a tuple, or as a list."""
    kind = rng.randrange(3)
    if kind == 0 and sizes:
        return method(name, *sizes)
    return method(name, tuple(sizes) if kind == 1 else sizes)


# ---------------------------------------------------------------- views


def draw_shape_view(tensor: torch.Tensor, rng: random.Random) -> Operation:
    """view, reshape, flatten and the like."""
    kind = rng.randrange(6)
    if kind == 0:
        return method("flatten", *sorted([dim_of(tensor, rng), dim_of(tensor, rng)], key=lambda d: d % 9))
    if kind == 1:
        dim = dim_of(tensor, rng)
        there = tensor.dim() and -tensor.dim() <= dim < tensor.dim()
        sizes = factors(tensor.shape[dim], rng) if there else [1]
        if sizes and rng.random() < 0.3:
            sizes[rng.randrange(len(sizes))] = rng.choice([-1, -1, 7])
        return method("unflatten", dim, tuple(sizes))
    if kind == 2:
        return method(rng.choice(["ravel", "contiguous", "detach", "cpu", "clone"]))
    if kind == 3:
        sizes = [rng.choice([-1, s, s]) if s != 1 else rng.choice([-1, 1, 3, 0]) for s in tensor.shape]
        return spelled(rng.choice(["expand", "broadcast_to"]), [*rng.choice([[], [], [2], [1, 2]]), *sizes], rng)
    return spelled(rng.choice(["view", "reshape"]), drawn_shape(tensor, rng), rng)


def draw_order_view(tensor: torch.Tensor, rng: random.Random) -> Operation:
    """transpose, permute, squeeze and the like."""
    kind = rng.randrange(7)
    if kind == 0:
        return method("t")
    if kind == 1:
        name = rng.choice(["T", "mT"])
        return Operation(name, (), lambda t: getattr(t, name))
    if kind == 2:
        dims = list(range(tensor.dim()))
        rng.shuffle(dims)
        return spelled("permute", dims if rng.random() < 0.95 else [*dims[1:], 0], rng)
    if kind == 3:
        count = rng.randint(0, tensor.dim())
        source = rng.sample(range(tensor.dim()), count)
        target = rng.sample(range(-tensor.dim(), 0), count)
        return method(rng.choice(["movedim", "moveaxis"]), tuple(source), tuple(target))
    if kind == 4:
        dims = tuple(dim_of(tensor, rng) for _ in range(rng.randrange(3)))
        return rng.choice([method("squeeze"), method("squeeze", dim_of(tensor, rng)), method("squeeze", dims)])
    if kind == 5:
        return method("unsqueeze", rng.randint(-tensor.dim() - 1, tensor.dim()))
    return method(rng.choice(["transpose", "swapaxes", "swapdims"]), dim_of(tensor, rng), dim_of(tensor, rng))


def draw_part_view(tensor: torch.Tensor, rng: random.Random) -> Operation:
    """select, narrow, split, diagonal and the like."""
    kind = rng.randrange(9)
    dim = dim_of(tensor, rng)
    if kind == 0:
        return method("select", dim, number(rng))
    if kind == 1:
        return method("narrow", dim, number(rng), rng.randint(-1, 3))
    if kind == 2:
        return method("unbind", dim)
    if kind == 3:
        return method("split", rng.choice([1, 2, 3, 0, -1, 2**62]), dim)
    if kind == 4:
        size = tensor.shape[dim] if tensor.dim() and -tensor.dim() <= dim < tensor.dim() else 2
        first = rng.randint(0, size)
        return method("split", [first, size - first + rng.choice([0, 0, 0, 1])], dim)
    if kind == 5:
        return method("chunk", rng.choice([1, 2, 3, 5, 0, -1]), dim)
    if kind == 6:
        return method("diagonal", rng.choice([0, 0, number(rng)]), dim, dim_of(tensor, rng))
    if kind == 7:
        return method("unfold", dim, rng.randint(-1, 3), rng.choice([0, 1, 1, 2, 3]))
    sizes = [rng.choice([0, 1, 2, 2, 3]) for _ in range(rng.randrange(4))]
    # Beside a size of 0 it depends on the order of dimensions whether torch sees that a stride is too large.
    strides = [rng.choice([0, 1, 1, 2, 3, -1]) if rng.random() < 0.9 or 0 in sizes else 2**61 for _ in sizes]
    offset = rng.choice([(), (0,), (1,), (3,), (-1,), (5,) if 0 in sizes else (2**62,)])
    return method("as_strided", sizes, strides, *offset)


def draw_dtype_view(tensor: torch.Tensor, rng: random.Random) -> Operation:
    """view(dtype) between dtypes of which every pattern is a number."""
    if str(tensor.dtype)[6:] not in INTEGERS:
        return method("view", tensor.dtype)
    return method("view", getattr(torch, rng.choice(INTEGERS)))


# ---------------------------------------------------------------- indices


def plain_term(size: int, rng: random.Random) -> Any:
    """Return an int, seldom one out of range, or a slice."""
    if rng.random() < 0.4:
        # Where two terms are wrong, this package sees an int beyond 64 bits first.
        return rng.randint(-size, size - 1) if size and rng.random() < 0.9 else number(rng) % 2**62
    bounds = [None if rng.random() < 0.3 else number(rng) for _ in range(2)]
    return slice(*bounds, rng.choice([None, None, 1, 1, 2, 3, 9, 0, -1] if rng.random() < 0.2 else [None, 1, 2]))


def integers(size: int, shape: list[int], rng: random.Random) -> torch.Tensor:
    """Return indices of a dimension, seldom one out of range."""
    count = torch.Size(shape).numel()
    low, high = (-size, size - 1) if size and rng.random() < 0.93 else (-3, 3)
    return torch.tensor([rng.randint(low, high) for _ in range(count)], dtype=torch.int64).reshape(shape)


def array_index(size: int, rng: random.Random) -> Any:
    """Return ints for one dimension: a list, an array, a tensor of torch or of a program."""
    shape = rng.choice([[], [1], [2], [2], [3], [2, 2], [1, 2], [2, 1], [0], [3, 2]])
    indices = integers(size, shape, rng)
    if len(shape) == 2 and rng.random() < 0.3:
        indices = indices.t()
    kind = rng.randrange(6)
    if kind == 0:
        return indices.tolist()
    if kind == 1:
        return indices.numpy().astype(rng.choice([np.int64, np.int32, np.int16]))
    if kind == 2:
        return indices.to(torch.int32)
    if kind == 3 and rng.random() < 0.2:
        return indices.to(getattr(torch, rng.choice(["int8", "int16", "float32", "uint8"])))
    return indices


def mask_index(sizes: list[int], rng: random.Random) -> Any:
    """Return a mask for these dimensions, seldom of another shape."""
    if rng.random() < 0.07:
        sizes = surface.drawn_sizes(rng)
    count = torch.Size(sizes).numel()
    mask = torch.tensor([rng.random() < 0.5 for _ in range(count)], dtype=torch.bool).reshape(sizes)
    kind = rng.randrange(5)
    if kind == 0 and mask.dim() == 1 and count:
        return mask.tolist()
    if kind == 1 and mask.dim() == 1:  # torch counts any other array as one dimension
        return mask.numpy()
    return mask.to(torch.uint8) if kind == 2 else mask


def drawn_key(tensor: torch.Tensor, rng: random.Random) -> Any:
    """Return an index of any kind."""
    terms: list[Any] = []
    advanced = rng.random() < 0.5
    left = list(tensor.shape)
    while left or rng.random() < 0.1:
        kind = rng.random()
        if kind < 0.1:
            terms.append(None)
        elif kind < 0.2 and Ellipsis not in [t if t is Ellipsis else None for t in terms]:
            terms.append(Ellipsis)
            del left[: rng.randint(0, len(left))]
        elif advanced and kind < 0.24:
            terms.append(rng.random() < 0.7)
        elif advanced and kind < 0.45:
            count = rng.randint(0, min(2, len(left)))
            terms.append(mask_index(left[:count], rng))
            del left[:count]
        elif advanced and kind < 0.75:
            terms.append(array_index(left.pop(0) if left else 1, rng))
        else:
            terms.append(plain_term(left.pop(0) if left else 1, rng))
        if rng.random() < 0.15:
            break
    # A tuple of one term says "too many indices" of a 0-d tensor whatever else is wrong.
    if len(terms) == 1 and (tensor.dim() == 0 or rng.random() < 0.7):
        return terms[0]
    return tuple(terms)


def draw_getitem(tensor: torch.Tensor, rng: random.Random) -> Operation:
    """Reading by an index."""
    return Operation("getitem", (drawn_key(tensor, rng),), lambda t, key: t[key])


# ---------------------------------------------------------------- writing


def drawn_number(tensor: torch.Tensor, rng: random.Random) -> Any:
    """Return a number that most dtypes hold, and sometimes one that few do."""
    if rng.random() < 0.1:
        return rng.choice([300, -1, -129, 70000, 2**40, 2.5, -0.5, 1e10, 1e300, float("inf"), float("nan"), 1j, 2 + 0j])
    return rng.choice([0, 1, 7, 42, True, False, 3.0, 99])


def drawn_value(program: Program, sizes: torch.Size, dtype: torch.dtype, rng: random.Random) -> Any:
    """Return a tensor to write to these sizes, or a Pair of the program, or a number."""
    kind = rng.random()
    if kind < 0.25:
        # torch looks first whether it is the same object: then even what is not dense, or empty, overlaps.
        return rng.choice([pair for pair in program.pairs if pair.its.numel() and pair.its.is_contiguous()] or [7])
    shape = [1 if rng.random() < 0.25 else size for size in sizes]
    if rng.random() < 0.4:
        shape = shape[rng.randint(0, len(shape)) :]
    if rng.random() < 0.1:
        shape = rng.choice([[1, *shape], surface.drawn_sizes(rng)])
    wanted = dtype if rng.random() < 0.7 else getattr(torch, rng.choice(["int64", "float32", "bool", "uint8"]))
    return (torch.arange(torch.Size(shape).numel()).reshape(shape) % 50 + 50).to(wanted)


def names_each_once(tensor: torch.Tensor, key: Any) -> bool:
    """Return whether no place in memory is written twice, so that the order does not matter."""
    places = torch.arange(tensor.untyped_storage().nbytes() // tensor.itemsize)
    try:
        named = places.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())[key]
    except Exception:
        return True
    return named.unique().numel() == named.numel()


def draw_setitem(program: Program, target: Pair, rng: random.Random) -> Operation:
    """Writing by an index."""
    key = drawn_key(target.its, rng)
    try:
        sizes = target.its[key].shape
    except Exception:
        sizes = target.its.shape
    value = drawn_number(target.its, rng)
    if rng.random() < 0.6 and names_each_once(target.its, key):
        value = drawn_value(program, sizes, target.its.dtype, rng)

    def call(tensor: Any, where: Any, what: Any) -> None:
        tensor[where] = what

    return Operation("setitem", (key, value), call, writes=True)


def draw_write(program: Program, target: Pair, rng: random.Random) -> Operation:
    """copy_, fill_ and zero_."""
    kind = rng.randrange(4)
    if kind == 0:
        return method("zero_", writes=True)
    if kind == 1:
        value = drawn_number(target.its, rng)
        if rng.random() < 0.3:
            value = torch.tensor(rng.choice([1, 2.0, True, 30]))
        return method("fill_", value, writes=True)
    return method("copy_", drawn_value(program, target.its.shape, target.its.dtype, rng), writes=True)


# ---------------------------------------------------------------- the rest


def casts_alike(tensor: torch.Tensor, dtype: torch.dtype) -> bool:
    """Return whether C++ defines the conversion: torch's scalar and vector code differ where it does not."""
    if dtype.is_floating_point or dtype.is_complex or dtype == torch.bool:
        return True
    if not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
        return True
    parts = torch.view_as_real(tensor) if tensor.dtype.is_complex else tensor
    return bool(torch.isfinite(parts).all() and ((parts >= 0) & (parts < 127)).all())


def draw_conversion(program: Program, tensor: torch.Tensor, rng: random.Random) -> Operation:
    """to(...)."""
    dtype = getattr(torch, rng.choice(surface.DTYPES))
    other = rng.choice(program.pairs)
    if rng.random() < 0.3 and casts_alike(tensor, other.its.dtype):
        return method("to", other)
    if not casts_alike(tensor, dtype):
        return method("to", "cpu")
    return rng.choice(
        [
            method("to", dtype),
            method("to", dtype=dtype),
            method("to", "cpu", dtype),
            method("to", dtype, False, True),
            method("to", dtype, copy=True),
        ]
    )


ASKED: list[Callable[[Any], Any]] = [
    lambda t: t.tolist(),
    lambda t: t.item(),
    bool,
    int,
    float,
    len,
    lambda t: t.size(),
    lambda t: [row.tolist() for row in t],
    lambda t: range(1000)[t],
    lambda t: (t.dim(), t.ndim, t.numel(), t.nelement(), t.element_size(), t.itemsize, t.nbytes),
    lambda t: (t.is_floating_point(), t.is_complex(), t.ndimension()),
]


def draw_question(program: Program, tensor: torch.Tensor, rng: random.Random) -> Operation:
    """What gives no tensor."""
    kind = rng.randrange(4)
    if kind == 0:
        return method("equal", rng.choice(program.pairs))
    if kind == 1:
        return method(rng.choice(["size", "stride"]), dim_of(tensor, rng))
    question = rng.choice(ASKED)
    return Operation("ask", (), question)


def draw_like(program: Program, tensor: torch.Tensor, rng: random.Random) -> Operation:
    """view_as, reshape_as and expand_as."""
    name = rng.choice(["view_as", "reshape_as", "expand_as"])
    return method(name, rng.choice(program.pairs))


def draw_wrong(tensor: torch.Tensor, rng: random.Random) -> Operation:
    """A call with an argument of a wrong type."""
    wrong = rng.choice(WRONG_TYPES)
    name, count = rng.choice(
        [
            ("select", 2),
            ("narrow", 3),
            ("transpose", 2),
            ("unsqueeze", 1),
            ("unbind", 1),
            ("chunk", 1),
            ("diagonal", 2),
            ("unfold", 3),
            ("flatten", 2),
        ]
    )
    arguments = [0] * count
    arguments[rng.randrange(count)] = wrong
    return method(name, *arguments)


def drawn_operation(program: Program, target: Pair, rng: random.Random) -> Operation:
    """Return one step."""
    its = target.its
    kind = rng.random()
    if kind < 0.18:
        return draw_shape_view(its, rng)
    if kind < 0.34:
        return draw_order_view(its, rng)
    if kind < 0.48:
        return draw_part_view(its, rng)
    if kind < 0.51:
        return draw_dtype_view(its, rng)
    if kind < 0.68:
        return draw_getitem(its, rng)
    if kind < 0.80:
        return draw_setitem(program, target, rng)
    if kind < 0.87:
        return draw_write(program, target, rng)
    if kind < 0.92:
        return draw_conversion(program, its, rng)
    if kind < 0.96:
        return draw_question(program, its, rng)
    return draw_like(program, its, rng) if kind < 0.98 else draw_wrong(its, rng)

"""Calls of the factories, with the same arguments on both sides, for test_surface.py."""

import random
from typing import Any

import surface
import tensorbroker as tb
import torch
from surface_operations import EXTREMES, WRONG_TYPES

WRONG_SIZES = [size for size in WRONG_TYPES if size is not True]  # which torch takes at most places
LIKE = ["zeros_like", "ones_like", "full_like", "empty_like"]
SEQUENCES = ("arange", "linspace")
CONTENTS_UNKNOWN = ("empty", "empty_like")


def drawn_dtype(rng: random.Random) -> dict[str, Any]:
    """Return no dtype, or one, as torch's object."""
    return {} if rng.random() < 0.4 else {"dtype": getattr(torch, rng.choice(surface.DTYPES))}


def drawn_number(rng: random.Random) -> Any:
    """Return a number of any kind, seldom a 0-d tensor or what is none."""
    kind = rng.random()
    if kind < 0.03:
        return rng.choice(EXTREMES)
    if kind < 0.06:
        return rng.choice(WRONG_TYPES)
    if kind < 0.12:
        return torch.tensor(rng.choice([1, 2.5, True, -3]))
    return rng.choice([0, 1, 2, 7, -3, 0.5, -1.25, 3.0, 100, True, False, 0.1, 1e3])


def drawn_numbers(count: int, rng: random.Random) -> list[Any]:
    """Return numbers, one of which may be a wrong one: of two, torch sees another first."""
    numbers = [rng.choice([0, 1, 2, 7, -3, 0.5, -1.25, 100, 0.1]) for _ in range(count)]
    numbers[rng.randrange(count)] = drawn_number(rng)
    return numbers


def sized(name: str, rng: random.Random) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Return a call with a size, one by one, as a tuple, a list, or by name; seldom a wrong one."""
    sizes: list[Any] = surface.drawn_sizes(rng)
    if sizes and rng.random() < 0.06:
        sizes = [max(size, 1) for size in sizes]  # beside a size of 0 torch overflows silently
        sizes[rng.randrange(len(sizes))] = rng.choice([-1, 2**62, *EXTREMES, *WRONG_SIZES])
    kind = rng.randrange(4)
    named = drawn_dtype(rng)
    if kind == 0:
        return name, tuple(sizes), named
    if kind == 1:
        return name, (), {"size": tuple(sizes), **named}
    return name, (tuple(sizes) if kind == 2 else sizes,), named


def literal(rng: random.Random, depth: int = 0) -> Any:
    """Return nested lists of numbers, seldom ragged or of mixed kinds."""
    if depth == 3 or rng.random() < 0.25:
        return rng.choice([0, 1, 5, -2]) if rng.random() < 0.7 else rng.choice([True, 1.5, 2j, float("nan"), -7, 1e300])
    if rng.random() < 0.05:
        return [literal(rng, depth + 1) for _ in range(rng.randint(1, 3))]
    item = literal(rng, depth + 1)
    return [item] * rng.randint(1 if depth else 0, 3)  # what is in the others torch ignores where the first is empty


def drawn_call(program: surface.Program, rng: random.Random) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Return the name of a factory and what it is called with."""
    name = rng.choice(
        ["empty", "zeros", "ones", "full", "eye", "arange", "arange", "linspace", "tensor", "like", "like"]
    )
    if name in ("empty", "zeros", "ones"):
        return sized(name, rng)
    named = drawn_dtype(rng)
    if name == "full":
        return name, (tuple(surface.drawn_sizes(rng)), drawn_number(rng)), named
    if name == "eye":
        return name, tuple(rng.choice([0, 1, 2, 3, 4, -1]) for _ in range(rng.randint(1, 2))), named
    if name == "arange":
        # torch counts in 64 bits, which the differences of extreme bounds overflow.
        bounds = drawn_numbers(rng.randint(1, 3), rng)
        return name, tuple(2**50 if type(bound) is int and bound in EXTREMES else bound for bound in bounds), named
    if name == "linspace":
        return name, (*drawn_numbers(2, rng), rng.choice([0, 1, 2, 3, 5, 17, 100, -1])), named
    if name == "tensor":
        return name, (literal(rng),), named
    like = rng.choice(LIKE)
    values = (rng.choice(program.pairs), *([drawn_number(rng)] if like == "full_like" else []))
    return like, values, named


def check_near(mine: tb.Tensor, its: torch.Tensor) -> None:
    """Compare numbers up to the last bits, which torch's vectors decide on."""
    assert mine.shape == tuple(its.shape)
    if not its.numel():
        return
    wide = torch.complex128 if its.is_complex() else torch.float64
    bits = torch.finfo(its.dtype).eps if its.is_floating_point() or its.is_complex() else 2**-52
    distance = (mine.torch().to(wide) - its.to(wide)).abs()
    largest = its.to(wide).abs().nan_to_num(0, 0, 0).max()
    assert (distance[distance.isfinite()] <= 2 * bits * largest).all(), (mine, its)
    assert (distance.isfinite() | (mine.torch() == its) | its.isnan()).all(), (mine, its)


def run_call(program: surface.Program, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Call both sides and compare what they give, or how they refuse."""
    results = []
    for side, module in (("mine", tb), ("its", torch)):
        try:
            given = [surface.on_side(argument, side) for argument in arguments]
            results.append(getattr(module, name)(*given, **named))
        except Exception as error:
            results.append(error)
    mine, its = results
    if isinstance(its, Exception):
        assert isinstance(mine, Exception), f"{mine!r} where torch raises {its!r}"
        if isinstance(mine, tb.OutOfMemoryError) or name == "tensor":
            return  # torch's is a plain RuntimeError; of several mistakes in a list it sees another first
        # torch words one mistake differently from factory to factory.
        assert type(mine).__name__ == type(its).__name__, f"{mine!r} where torch has {its!r}"
    elif isinstance(mine, Exception):
        raise AssertionError(f"torch gives {its!r}") from mine
    else:
        if name in CONTENTS_UNKNOWN:
            its.zero_()
            mine.zero_()
        if name in SEQUENCES:
            check_near(mine, its)
            mine.copy_(its)
        program.add(mine, its)

"""Programs of operations on tensors, run on this package and on torch side by side: the engine of test_surface.py.

A program draws its operations from a random.Random that hypothesis controls, so a failing one is shrunk. Every step is
made on both sides; then everything that can be seen of the two results is compared, and after a write every tensor of
the program, so that it shows wherever memory is shared and nowhere else.
"""

import random
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorbroker as tb
import torch

INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]
FLOATS = ["float16", "bfloat16", "float32", "float64"]
DTYPES = ["bool", *INTEGERS, *FLOATS, "complex64"]
MOST_ELEMENTS = 400  # of a result that the program goes on with


@dataclass(eq=False)
class Pair:
    """The same tensor on both sides."""

    mine: Any
    its: torch.Tensor
    sealed: bool = False

    def __repr__(self) -> str:
        """Return torch's side, on one line."""
        return f"<{self.its.dtype} {list(self.its.shape)} {self.its.flatten()[:8].tolist()}>"


@dataclass
class Operation:
    """One step: what is called on each side, with Pairs in place of tensors."""

    name: str
    arguments: tuple[Any, ...]
    call: Callable[..., Any]
    writes: bool = False


def on_side(value: Any, side: str) -> Any:
    """Return an argument with the tensors of one side in place of Pairs."""
    if isinstance(value, Pair):
        return getattr(value, side)
    if isinstance(value, (tuple, list)):
        return type(value)(on_side(item, side) for item in value)
    return value


def message_of(error: BaseException) -> str:
    """Return what an error says, without the C++ place and type of torch's."""
    return re.sub(r"expand\([\w.]+\{", "expand(torch.Tensor{", str(error).split("\nException raised")[0])


# What torch says differently from one code path to another, or about itself.
UNSTABLE = ("SymInt", "Storage size calculation overflowed", "Overflow when unpacking", "too many indices")


def check_errors_alike(mine: BaseException, its: BaseException) -> None:
    """Compare class and, where torch means it for users, message."""
    if isinstance(its, SystemError):  # CPython's word for torch having raised while it warned
        return
    assert type(mine).__name__ == type(its).__name__, f"{mine!r} where torch has {its!r}"
    if isinstance(its, TypeError) or any(words in str(its) for words in UNSTABLE):
        return
    assert message_of(mine) == message_of(its), f"{message_of(mine)!r} where torch says {message_of(its)!r}"


def bytes_of(tensor: torch.Tensor) -> bytes:
    """Return the elements in C order."""
    flat = torch.empty(tensor.numel(), dtype=tensor.dtype)
    flat.view(tensor.shape).copy_(tensor)
    return flat.view(torch.uint8).numpy().tobytes()


def check_elements(mine: Any, its: torch.Tensor) -> None:
    """Compare every bit, but which NaN a NaN is."""
    if np.ascontiguousarray(mine.numpy()).tobytes() == bytes_of(its):
        return
    assert repr(mine.tolist()) == repr(its.tolist())


def check_pair(mine: Any, its: torch.Tensor) -> None:
    """Compare everything that can be seen of two tensors, but where they lie."""
    assert isinstance(mine, tb.Tensor)
    assert tuple(mine.shape) == tuple(its.shape)
    assert mine.stride() == its.stride()
    assert mine.storage_offset() == its.storage_offset()
    assert str(mine.dtype) == str(its.dtype)
    assert mine.is_contiguous() == its.is_contiguous()
    assert repr(mine) == repr(its)
    check_elements(mine, its)


class Program:
    """The tensors of one program."""

    def __init__(self) -> None:
        """Begin with none."""
        self.pairs: list[Pair] = []
        self.bases: dict[int, int] = {}  # torch's storages and where this package's lie

    def add(self, mine: Any, its: torch.Tensor, sealed: bool = False) -> Pair:
        """Compare two results, and whether they alias what the program has."""
        check_pair(mine, its)
        pair = Pair(mine, its, sealed)
        if its.numel() != 0:
            base = mine.data_ptr() - mine.storage_offset() * mine.itemsize
            storage = its.untyped_storage().data_ptr()
            if storage not in self.bases:
                assert base not in self.bases.values(), "it aliases what torch copies"
                self.bases[storage] = base
            assert self.bases[storage] == base, "it is a copy of what torch aliases"
            assert mine.data_ptr() - base == its.data_ptr() - storage
        self.pairs.append(pair)
        return pair

    def check_all(self) -> None:
        """Compare the elements of every tensor."""
        for pair in self.pairs:
            check_elements(pair.mine, pair.its)

    def run(self, operation: Operation, target: Pair) -> Pair | None:
        """Make one step on both sides; return a tensor to go on with, if there is a new one."""
        mine = self._attempt(operation, target, "mine")
        if operation.writes and target.sealed:
            assert isinstance(mine, tb.ReadOnlyError), f"{mine!r} of a sealed tensor"
            return None
        before = target.its.untyped_storage().clone() if operation.writes else None
        its = self._attempt(operation, target, "its")
        if isinstance(its, Exception):
            if before is not None:  # torch has written what came before a wrong index; this package nothing
                target.its.untyped_storage().copy_(before)
            assert isinstance(mine, Exception), f"{mine!r} where torch raises {its!r}"
            check_errors_alike(mine, its)
        elif isinstance(mine, Exception):
            raise AssertionError(f"torch gives {its!r}") from mine
        if operation.writes:
            self.check_all()
        return None if isinstance(its, Exception) else self._take(mine, its, target, operation)

    @staticmethod
    def _attempt(operation: Operation, target: Pair, side: str) -> Any:
        arguments = [on_side(argument, side) for argument in operation.arguments]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return operation.call(getattr(target, side), *arguments)
        except Exception as error:
            return error

    def _take(self, mine: Any, its: Any, target: Pair, operation: Operation) -> Pair | None:
        if isinstance(its, torch.Tensor):
            if its is target.its:
                assert mine is target.mine or operation.name in ("T", "mT")
                return None
            # What copies a sealed tensor is no longer sealed. Of no elements torch does not say which it is.
            aliases = its.untyped_storage().data_ptr() == target.its.untyped_storage().data_ptr()
            return self.add(mine, its, target.sealed and aliases if its.numel() else mine.sealed)
        if isinstance(its, (tuple, list)) and its and isinstance(its[0], torch.Tensor):
            assert isinstance(mine, tuple) and len(mine) == len(its)
            return [self._take(m, i, target, operation) for m, i in zip(mine, its, strict=True)][-1]
        assert type(mine) is type(its) or isinstance(its, tuple)
        assert repr(mine) == repr(its)
        return None


def describe(operation: Operation, target: Pair) -> str:
    """Return a step as a line for the report of a failure."""
    return f"{target!r}.{operation.name}{operation.arguments!r}"


# ---------------------------------------------------------------- sources


def drawn_sizes(rng: random.Random) -> list[int]:
    """Return a shape, often with sizes of 1, sometimes with one of 0."""
    return [rng.choice([0, 1, 1, 2, 2, 3, 3, 4, 5]) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 3, 4]))]


def add_source(program: Program, rng: random.Random) -> Pair:
    """Add a tensor of 0, 1, 2, ...: allocated by the broker, of this process, NumPy's, or sealed."""
    shape = drawn_sizes(rng)
    values = torch.arange(torch.Size(shape).numel()).reshape(shape) % 90
    its = values.to(getattr(torch, rng.choice(DTYPES)))
    if rng.random() < 0.3 and its.dim() > 1:
        its = its.transpose(0, 1).contiguous().transpose(0, 1)
    kind = rng.choice(["tensor", "tensor", "clone", "from_numpy", "put"])
    if kind == "put":
        return program.add(tb.put("surface", its), its, sealed=True)
    if kind == "from_numpy" and its.dtype != torch.bfloat16:
        return program.add(tb.from_numpy(its.clone().numpy()), torch.from_numpy(its.clone().numpy()))
    mine = tb.tensor(its)
    return program.add(mine.clone() if kind == "clone" else mine, its)

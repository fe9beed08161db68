"""One input of the Python target: handles, pickles, metadata and data as others may send them.

Whatever comes, a call gives a result or one of the errors that are documented, and what was there before stays as it
was. Any bytes are a whole input: they are read as choices, and behind their end every choice is 0.
"""

import array
import math
import pickle
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorbroker as tb
from tensorbroker import _default

EXPECTED = (TypeError, ValueError, IndexError, RuntimeError, KeyError, OverflowError, OSError, MemoryError, BufferError)
EXPECTED += (AttributeError, TimeoutError, NotImplementedError)
MOST_CALLS = 8
KEPT = [1.5, 2.5, 3.5]
KEPT_NAME = "what no input replaces"
DTYPES = ("?", "i1", "i2", "i8", "u1", "u4", "u8", "f2", "f4", "f8", "c16", ">f4", "O", "S3", "U2", "M8[s]", "f4,i2")
BOUNDARIES = (0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**64, 10**40)
TEXTS = ("", "a", "tb://", "tb://x/0123456789abcdef/0.1.r", "\0", "\ud800", "é" * 128, "x" * 300, "{}", '{"a": 1}')


class Choices:
    """The bytes of an input."""

    def __init__(self, data: bytes) -> None:
        """Begin at the first."""
        self.left = memoryview(data)

    def bytes(self, count: int) -> bytes:
        """Take so many bytes, zeros behind the end."""
        taken, self.left = bytes(self.left[:count]), self.left[count:]
        return taken.ljust(count, b"\0")

    def below(self, n: int) -> int:
        """Take a number below n, at most 256."""
        return self.bytes(1)[0] % n

    def pick(self, values: Any) -> Any:
        """Take one of the values."""
        return values[self.below(len(values))]

    def number(self) -> int:
        """Take a small number, one at a boundary, or any."""
        kind = self.below(256)
        if kind < 128:
            return kind % 8
        if kind < 224:
            return self.pick(BOUNDARIES) + self.below(3) - 1
        return struct.unpack("<q", self.bytes(8))[0]

    def numbers(self) -> tuple[int, ...]:
        """Take a few numbers."""
        return tuple(self.number() for _ in range(self.below(5)))

    def text(self) -> str:
        """Take a text."""
        if self.below(2):
            return self.pick(TEXTS)
        return self.bytes(self.below(24)).decode("utf-8", "surrogateescape")


class Foreign:
    """An object with a protocol of NumPy, whose numbers are anything."""

    def __init__(self, choices: Choices) -> None:
        """Keep what it claims."""
        claims: dict[str, Any] = {
            "version": 3,
            "shape": choices.numbers(),
            "typestr": choices.pick(("<f4", "|u1", "<x9")),
        }
        # Memory of its own, so that only what is claimed beyond it is wrong: NumPy believes an address.
        claims["data"] = choices.pick((b"12345678" * 8, bytearray(16), None))
        if choices.below(2):
            claims["strides"] = choices.numbers()
        self.__array_interface__ = claims


def odd_object(choices: Choices, depth: int = 0) -> Any:
    """Return something of JSON, or nearly."""
    kind = choices.below(12 if depth < 4 else 8)
    if kind < 3:
        return choices.number()
    if kind == 3:
        return choices.text()
    if kind < 8:
        return choices.pick((None, True, 1.5, float("nan"), float("inf"), b"x", 1j, np.float32(1), object, -0.0))
    if kind < 10:
        return [odd_object(choices, depth + 1) for _ in range(choices.below(4))]
    keys = [choices.text() if choices.below(8) else choices.number() for _ in range(choices.below(4))]
    return {key: odd_object(choices, depth + 1) for key in keys}


def numpy_array(choices: Choices) -> Any:
    """Return an array of any dtype and layout, of moderate size, though it may claim to be large."""
    values = np.zeros([choices.below(5) for _ in range(choices.below(4))], choices.pick(DTYPES))
    match choices.below(5):
        case 0:
            return values.T
        case 1:
            return values[tuple([slice(None, None, -1)] * values.ndim)]
        case 2:
            return np.broadcast_to(values, (choices.pick((1, 2, 2**20, 2**40)), *values.shape))
        case 3:
            return values[..., None][..., 0]
        case _:
            return values


def source(choices: Choices, depth: int = 0) -> Any:
    """Return something to put."""
    match choices.below(9 if depth < 2 else 7):
        case 0 | 1:
            return numpy_array(choices)
        case 2:
            return odd_object(choices)
        case 3:
            return array.array(choices.pick("bBhHiIlLfd"), [1] * choices.below(5))
        case 4:
            return memoryview(bytes(choices.below(16))).cast(choices.pick(("B", "b", "c")))
        case 5:
            return Foreign(choices)
        case 6:
            return tb.from_numpy(np.ones(choices.below(4), np.float32))
        case 7:
            return [source(choices, depth + 1) for _ in range(choices.below(4))]
        case _:
            return {choices.text(): source(choices, depth + 1) for _ in range(choices.below(4))}


def mutate_text(choices: Choices, text: str) -> str:
    """Change, drop or add some characters."""
    for _ in range(choices.below(4)):
        at = choices.below(256) % (len(text) + 1)
        text = text[:at] + choices.pick(("", "0", "9" * 20, "/", ".", "+", "\0", "é")) + text[at + choices.below(3) :]
    return text


def use(found: Any) -> None:
    """Read every byte of what came out."""
    for tensor in found.values() if isinstance(found, tb.Bundle) else (found,):
        # Views of no stride show few bytes as very many elements, and 2**40 rows of none are as many lists.
        if isinstance(tensor, tb.Tensor) and math.prod(max(size, 1) for size in tensor.shape) < 100_000:
            tensor.tolist()
            repr(tensor)


def call_put(choices: Choices, client: tb.Client) -> Any:
    """Put anything under any name."""
    name = choices.pick((choices.text(), "a", "b", "c", odd_object(choices)))
    options = {"metadata": odd_object(choices)} if choices.below(2) else {}
    if choices.below(4) == 3:
        options["dtype"] = choices.pick(("float32", "bfloat16", "int8", 7, choices.text()))
    return client.put(name, source(choices), overwrite=bool(choices.below(4)), **options)


def call_open(choices: Choices, client: tb.Client) -> Any:
    """Open by a name or a handle that is nearly one."""
    handle = client.get(KEPT_NAME).handle
    text = choices.pick((mutate_text(choices, handle), handle, choices.text(), "a"))
    return client.open(text, choices.pick(("r", "c", "r+", choices.text(), None)))


def call_receive(choices: Choices, client: tb.Client) -> Any:
    """Unpickle what was changed on its way."""
    name = choices.pick((KEPT_NAME, "a", "b", "c"))
    function, arguments = client.get(name).__reduce__()[:2]
    changed = list(arguments)
    for _ in range(choices.below(3)):
        at = choices.below(len(changed))
        old = changed[at]
        if isinstance(old, str):
            # Another instance is not asked for: that would wait for its broker.
            changed[at] = old[:5] + mutate_text(choices, old[5:]) if old.startswith("tb://") else choices.text()
            if at == 0 and str(changed[at]).removeprefix("tb://").partition("/")[0] != client.instance:
                changed[at] = old
        else:
            changed[at] = choices.pick((choices.number(), choices.numbers(), odd_object(choices), old))
    assert function in (_default.receive, _default.receive_view)
    return function(*changed)


def call_round_trip(choices: Choices, client: tb.Client) -> Any:
    """Send what is there through a pickle as it should be."""
    found = client.get(choices.pick((KEPT_NAME, "a", "b", "c")))
    again = pickle.loads(pickle.dumps(found, choices.below(pickle.HIGHEST_PROTOCOL + 1)))
    assert type(again) is type(found) and again.metadata == found.metadata
    return again


def call_delete(choices: Choices, client: tb.Client) -> Any:
    """Delete what a name, or what is none, leads to."""
    return client.delete(choices.pick(("a", "b", "c", choices.text() + "!", choices.number())))


CALLS: tuple[Callable[[Choices, tb.Client], Any], ...] = (
    call_put,
    call_put,
    call_put,
    call_open,
    call_receive,
    call_receive,
    call_round_trip,
    call_delete,
)


def play(data: bytes, client: tb.Client) -> None:
    """Play one input on a client that has KEPT_NAME: see setup()."""
    choices = Choices(data)
    for _ in range(MOST_CALLS):
        if not choices.left:
            break
        call = choices.pick(CALLS)
        try:
            use(call(choices, client))
        except EXPECTED:
            continue
    assert client.get(KEPT_NAME).tolist() == KEPT
    for name in client:
        if name != KEPT_NAME:
            client.delete(name)


def setup(client: tb.Client) -> None:
    """Put what every input expects."""
    client.put(KEPT_NAME, np.array(KEPT), metadata={"step": 1})

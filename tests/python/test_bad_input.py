"""Every function with wrong values for every parameter: an error that names the value, and nothing changed by it.

After each error the broker's figures, this process's descriptors and mappings, the names, and the bytes of what was to
be written are as before.
"""

import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorbroker as tb
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st

EXPECTED = (TypeError, ValueError, IndexError, RuntimeError, KeyError, OverflowError, OSError, MemoryError, BufferError)
EXPECTED += (AttributeError, TimeoutError, NotImplementedError)
SEED = int(os.environ.get("TENSORBROKER_TEST_SEED", os.getpid()))


class Odd:
    """A value of a type that nobody expects, which its message must name."""

    def __repr__(self) -> str:
        return "<odd>"


ODD = Odd()
CYCLIC: list[object] = []
CYCLIC += [CYCLIC, CYCLIC]


def nested(depth: int) -> list[object]:
    """Return a list in a list in a list."""
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def state(client: tb.Client) -> dict[str, object]:
    """Return what an error must leave as it was."""
    stats = client.stats()
    figures = {key: stats[key] for key in ("used", "live", "retired", "tensors", "bundles", "sessions")}
    counters = {key: value for key, value in stats["counters"].items() if "publi" in key or "delet" in key}
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    maps = [line for line in Path("/proc/self/maps").read_text().splitlines() if "tensorbroker." in line]
    return {"figures": figures, "counters": counters, "fds": descriptors, "maps": len(maps), "names": list(client)}


def expect_error(call: Callable[[], object], shown: str | None) -> None:
    """Call, and check what kind of error comes of it."""
    try:
        result = call()
    except EXPECTED as error:
        assert type(error) is not SystemError
        text = str(error)
        assert "incompatible function arguments" not in text, text
        assert "Unable to cast" not in text and "instance to C++" not in text, text
        if shown is not None:
            assert re.search(shown, text), f"{shown} is not in: {text}"
    else:
        raise AssertionError(f"no error, but {result!r}")


@pytest.fixture
def target(client: tb.Client) -> Iterator[tb.Tensor]:
    """A mutable tensor whose bytes no error may change."""
    tensor = client.zeros(2, 3, name="target")
    tensor.copy_(torch.arange(6.0).reshape(2, 3))
    before = tensor.numpy().tobytes()
    client.put("kept", {"a": [1.0], "b": [2]})
    client.reserve(1 << 20)
    yield tensor
    assert tensor.numpy().tobytes() == before


# What each call is given, and what its message shows: of a wrong type its name, of a wrong value the value.
CLIENT: list[tuple[str, Callable[[tb.Client], object], str]] = [
    (f"{name}({', '.join(map(repr, arguments))}, {options})", call, shown)
    for name, arguments, options, shown in [
        ("put", (ODD, [1]), {}, "Odd"),
        ("put", (7, [1]), {}, "int"),
        ("put", ("", [1]), {}, "1 to 255"),
        ("put", ("x", ODD), {}, "Odd"),
        ("put", ("x", [1, ODD]), {}, "Odd"),
        ("put", ("x", {"m": ODD}), {}, "Odd"),
        ("put", ("x", {"m": np.array([ODD])}), {}, "object"),
        ("put", ("x", {}), {"metadata": ODD}, "Odd"),
        ("put", ("x", [1]), {"metadata": [2]}, "list"),
        ("put", ("x", [1]), {"dtype": ODD}, "odd"),
        ("put", ("x", [1]), {"dtype": "float33"}, "float33"),
        ("put", ("x", [300]), {"dtype": "int8"}, "int8"),
        ("put", ("x", [1]), {"overwrite": ODD}, "Odd"),
        ("put", ("x", [1]), {"overwite": True}, "overwite"),
        ("put", ("x",), {}, "data"),
        ("put", ("kept", [1]), {"overwrite": False}, "kept"),
        ("put", ("kept", {"a": [1]}), {"overwrite": False}, "kept"),
        ("put", ("x", torch.ones(1).expand(1 << 40)), {}, str(4 << 40)),
        ("create", (ODD, 1), {}, "Odd"),
        ("create", ("x", ODD), {}, "Odd"),
        ("create", ("x", (2, -3)), {}, "-3"),
        ("create", ("x", (2, 2.5)), {}, "float"),
        ("create", ("x", (1 << 62, 4)), {}, str(1 << 62)),
        ("create", ("x", 2, ODD), {}, "odd"),
        ("create", ("x", 2), {"metadata": ODD}, "Odd"),
        ("create", ("x", 2), {"overwrite": ODD}, "Odd"),
        ("create", ("x",), {}, "shape"),
        ("get", (ODD,), {}, "Odd"),
        ("get", ("absent",), {}, "absent"),
        ("get", ("kept",), {"timeout": ODD}, "Odd"),
        ("get", ("kept",), {"timeout": "soon"}, "str"),
        ("get", ("kept",), {"timeout": float("nan")}, "nan"),
        ("get", ("kept", 1.0), {}, ""),
        ("open", (ODD,), {}, "Odd"),
        ("open", ("absent",), {}, "absent"),
        ("open", ("tb://nonsense",), {}, "tb://nonsense"),
        ("open", ("target", ODD), {}, "<odd>"),
        ("open", ("target", "w"), {}, "w"),
        ("open", ("kept", "r+"), {}, "kept|bundle"),
        ("delete", (ODD,), {}, "Odd"),
        ("delete", ("absent",), {}, "absent"),
        ("exists", (ODD,), {}, "Odd"),
        ("list", (ODD,), {}, "Odd"),
        ("put", ("x", ODD), {"wait": False}, "Odd"),
        ("put", ("", [1]), {"wait": False}, "1 to 255"),
        ("put", ("kept", [1]), {"wait": False, "overwrite": False}, "kept"),
        ("flush", (ODD,), {}, "Odd"),
        ("put_many", (ODD,), {}, "Odd"),
        ("put_many", ({"x": ODD},), {}, "Odd"),
        ("put_many", ({"": [1]},), {}, "1 to 255"),
        ("put_many", ({7: [1]},), {}, "int"),
        ("put_many", ({"x": [1], "y": {"m": [1]}},), {}, "'y'"),
        ("put_many", ({"x": [1]},), {"metadata": [2]}, "list"),
        ("put_many", ({"x": [1]},), {"dtype": "float33"}, "float33"),
        ("put_many", ({"x": [1], "kept": [1]},), {"overwrite": False}, "kept"),
        ("reserve", (ODD,), {}, "Odd"),
        ("reserve", (-1,), {}, "-1"),
        ("reserve", ("8XB",), {}, "8XB"),
        ("reserve", (1 << 50,), {}, "out of memory: asked for 1125899"),
        ("wait", (ODD,), {}, "Odd"),
        ("wait", ("kept",), {"newer_than": ODD}, "Odd"),
        ("wait", ("kept",), {"newer_than": -1}, "-1"),
        ("wait", ("kept",), {"newer_than": 1 << 64}, str(1 << 64)),
        ("wait", ("kept",), {"timeout": ODD}, "Odd"),
        ("wait", ("absent",), {"timeout": 0}, "absent"),
        ("wait", ("kept",), {"spin": ODD}, "Odd"),
        ("wait", ("kept",), {"spin": float("inf")}, "inf"),
        ("events", (ODD,), {}, "Odd"),
        ("events", ("n" * 256,), {}, "255"),
        ("events", ("kept",), {"timeout": ODD}, "Odd"),
        ("watch", (ODD,), {}, "Odd"),
        ("watch", ("kept",), {"start": "then"}, "then"),
        ("watch", ("kept",), {"start": ODD}, "<odd>"),
        ("watch", ("kept",), {"timeout": ODD}, "Odd"),
        ("watch", ("kept",), {"spin": ODD}, "Odd"),
        ("watch", ("kept",), {"spin": -1}, "-1"),
        ("load_safetensors", ("x", ODD), {}, "Odd"),
        ("load_safetensors", ("x", "/nonexistent/file"), {}, "/nonexistent/file"),
        ("load_safetensors", (ODD, "/dev/null"), {}, "Odd"),
        ("save_safetensors", ("absent", "/tmp/never.safetensors"), {}, "absent"),
        ("save_safetensors", ("kept", ODD), {}, "Odd"),
        ("save_safetensors", ("kept", "/nonexistent/file"), {}, "/nonexistent/file"),
        ("tensor", (ODD,), {}, "Odd"),
        ("tensor", ([1],), {"dtype": ODD}, "odd"),
        ("tensor", ([1],), {"name": ODD}, "Odd"),
        ("tensor", ([1],), {"name": "kept"}, "kept"),
        ("zeros", (ODD,), {}, "Odd"),
        ("zeros", (2, -3), {}, "-3"),
        ("zeros", (2,), {"dtype": ODD}, "odd"),
        ("zeros", (2,), {"name": "kept"}, "kept"),
        ("zeros", (1 << 50,), {"dtype": "int8"}, str(1 << 50)),
        ("ones", (2, ODD), {}, "Odd"),
        ("empty", (2.5,), {}, "float"),
        ("full", ((2,), ODD), {}, "Odd"),
        ("full", (ODD, 1), {}, "Odd"),
        ("full", ((2,), 300), {"dtype": "int8", "name": "x"}, "overflow|300"),
        ("arange", (ODD,), {}, "Odd"),
        ("arange", (0, 1, 0), {}, "zero"),
        ("linspace", (0, ODD, 3), {}, "Odd"),
        ("linspace", (0, 1, -3), {}, "-3|non-negative"),
        ("rand", (ODD,), {}, "Odd"),
        ("rand", (2,), {"dtype": "int8"}, "int8|Char"),
        ("randn", (-2,), {}, "-2"),
        ("eye", (ODD,), {}, "Odd"),
        ("eye", (-2,), {}, "-2"),
        ("zeros_like", (ODD,), {}, "Odd"),
        ("ones_like", ([1],), {}, "list"),
        ("full_like", (np.ones(2), ODD), {}, "Odd"),
        ("empty_like", (None,), {}, "None"),
        ("rand_like", (ODD,), {}, "Odd"),
        ("randn_like", (np.ones(2, np.int8),), {}, "int8|Char"),
    ]
    for call in [lambda client, n=name, a=arguments, o=options: getattr(client, n)(*a, **o)]
]


@pytest.mark.parametrize(("call", "shown"), [row[1:] for row in CLIENT], ids=[row[0][:60] for row in CLIENT])
def test_client(client: tb.Client, target: tb.Tensor, call: Callable[[tb.Client], object], shown: str) -> None:
    before = state(client)
    expect_error(lambda: call(client), shown)
    assert state(client) == before


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda client: client.open("target", ODD), TypeError),
        (lambda client: client.open("target", "w"), ValueError),
        (lambda client: client.watch("kept", start=ODD), TypeError),
        (lambda client: client.watch("kept", start="then"), ValueError),
        (lambda client: tb.connect(autostart=ODD), TypeError),
        (lambda client: tb.connect(autostart="no"), TypeError),
        (lambda client: client.put("x", [1], metadata={"a": [1 << 1100]}), ValueError),
        (lambda client: client.put("x", [1], metadata={"a": nested(100_000)}), ValueError),
        (lambda client: client.put("x", [1], metadata={"a": CYCLIC}), ValueError),
    ],
    ids=range(9),
)
def test_a_wrong_type_is_a_type_error_and_a_wrong_value_a_value_error(
    client: tb.Client, target: tb.Tensor, call: Callable[[tb.Client], object], error: type[Exception]
) -> None:
    before = state(client)
    with pytest.raises(error):
        call(client)
    assert state(client) == before


WRITES = [
    ("copy_", (ODD,)),
    ("copy_", (torch.ones(4),)),
    ("copy_", (np.array(["a"]),)),
    ("fill_", (ODD,)),
    ("fill_", (torch.ones(2),)),
    ("fill_", (1j,)),
    ("fill_", (1e300,)),
    ("__setitem__", ((0, 5), 1.0)),
    ("__setitem__", (ODD, 1.0)),
    ("__setitem__", (0, ODD)),
    ("__setitem__", (0, 1 << 63)),
    ("__setitem__", (0, -(1 << 2000))),
    ("__setitem__", (0, torch.ones(4))),
    ("__setitem__", (torch.tensor([True]), 1.0)),
    ("__setitem__", (torch.tensor([0, 7]), 1.0)),
    ("zero_", (1,)),
]
READS = [
    ("view", (4,)),
    ("view", (-1, -1)),
    ("view", (ODD,)),
    ("reshape", (5,)),
    ("reshape", (ODD,)),
    ("flatten", (3,)),
    ("unflatten", (1, (2, 2))),
    ("unflatten", (ODD, (2,))),
    ("transpose", (0, 2)),
    ("transpose", (0, ODD)),
    ("permute", (0, 0)),
    ("permute", (0,)),
    ("permute", (ODD, 1)),
    ("movedim", (0, 5)),
    ("movedim", (0, ODD)),
    ("squeeze", (4,)),
    ("squeeze", (ODD,)),
    ("unsqueeze", (4,)),
    ("unsqueeze", (ODD,)),
    ("select", (0, 9)),
    ("select", (0, ODD)),
    ("select", (ODD, 0)),
    ("narrow", (0, 1, 5)),
    ("narrow", (0, ODD, 1)),
    ("narrow", (0, 0, -1)),
    ("expand", (4, 3)),
    ("expand", (ODD,)),
    ("expand_as", (ODD,)),
    ("unbind", (7,)),
    ("unbind", (ODD,)),
    ("chunk", (0,)),
    ("chunk", (ODD,)),
    ("split", (-1,)),
    ("split", ([1, 2],)),
    ("split", (ODD,)),
    ("diagonal", (0, 0, 0)),
    ("diagonal", (ODD,)),
    ("unfold", (0, 9, 1)),
    ("unfold", (0, 1, 0)),
    ("unfold", (0, ODD, 1)),
    ("as_strided", ((9, 9), (9, 9))),
    ("as_strided", ((2,), (-1,))),
    ("as_strided", (ODD, (1,))),
    ("size", (5,)),
    ("size", (ODD,)),
    ("stride", (5,)),
    ("stride", (ODD,)),
    ("equal", (ODD,)),
    ("item", ()),
    ("__getitem__", (ODD,)),
    ("__getitem__", (2,)),
    ("__getitem__", ((0, 0, 0),)),
    ("__getitem__", (slice(None, None, -1),)),
    ("__getitem__", (slice(None, None, 0),)),
    ("__getitem__", ("a",)),
    ("__getitem__", (1.5,)),
    ("__getitem__", (torch.tensor([5]),)),
    ("__getitem__", (torch.tensor([0.5]),)),
    ("__bool__", ()),
    ("__int__", ()),
    ("__float__", ()),
    ("__index__", ()),
    ("to", (ODD,)),
]  # fmt: skip


def shown_of(arguments: tuple[object, ...]) -> str | None:
    return "Odd|odd" if any(argument is ODD for argument in arguments) else None


@pytest.mark.parametrize(("method", "arguments"), WRITES + READS, ids=lambda x: str(x)[:40].replace("\n", ""))
def test_tensor_operations_have_torchs_class(
    client: tb.Client, target: tb.Tensor, method: str, arguments: tuple[object, ...]
) -> None:
    before = state(client)
    theirs = torch.arange(6.0).reshape(2, 3)
    if any(isinstance(argument, np.ndarray) for argument in arguments):
        wanted: type[BaseException] | None = TypeError
    else:
        try:
            getattr(theirs, method)(*arguments)
            wanted = None
        except Exception as error:
            wanted = type(error)
    assert wanted is not None, "torch takes it"
    expect_error(lambda: getattr(target, method)(*arguments), shown_of(arguments))
    with pytest.raises(wanted):
        getattr(target, method)(*arguments)
    assert state(client) == before


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.fill_(1),
        lambda t: t.zero_(),
        lambda t: t.copy_(t),
        lambda t: t.__setitem__(0, 1),
        lambda t: t.publish(),
        lambda t: t.discard(),
    ],
    ids=range(6),
)  # fmt: skip
def test_sealed_tensors_refuse_to_be_written(client: tb.Client, call: Callable[[tb.Tensor], object]) -> None:
    sealed = client.put("sealed", [[1.0, 2], [3, 4]])
    before = state(client)
    expect_error(lambda: call(sealed), None)
    assert sealed.tolist() == [[1, 2], [3, 4]]
    assert state(client) == before


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (lambda b: b[ODD], "Odd|odd"),
        (lambda b: b["absent"], "absent"),
        (lambda b: b[0], "0|int"),
        (lambda b: b.nested(ODD), "Odd|odd"),
        (lambda b: b.nested("jax"), "jax"),
    ],
    ids=range(5),
)
def test_bundles(client: tb.Client, call: Callable[[tb.Bundle], object], shown: str) -> None:
    bundle = client.put("b", {"a": [1.0], "b": [2]})
    before = state(client)
    expect_error(lambda: call(bundle), shown)
    assert state(client) == before


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (lambda: tb.connect(ODD), "Odd"),
        (lambda: tb.connect(timeout=ODD), "Odd"),
        (lambda: tb.connect(timeout=-1), "-1"),
        (lambda: tb.connect(runtime_dir=ODD), "Odd"),
        (lambda: tb.connect(capacity=ODD), "Odd|odd"),
        (lambda: tb.from_numpy(ODD), "Odd"),
        (lambda: tb.from_numpy([1]), "list"),
        (lambda: tb.from_numpy(np.array(["a"])), "<U1"),
        (lambda: tb.from_dlpack(ODD), "Odd|odd"),
        (lambda: tb.from_dlpack(np.ones(2), copy=ODD), "Odd|odd"),
        (lambda: tb.from_dlpack(np.ones(2), device=ODD), "Odd|odd"),
        (lambda: tb.manual_seed(ODD), "<odd>"),
        (lambda: tb.dtype(ODD), None),
        (lambda: tb.Tensor(ODD), None),
        (lambda: tb.Bundle(ODD), None),
        (lambda: tb.Client(ODD), None),
    ],
    ids=range(16),
)  # fmt: skip
def test_module_functions(client: tb.Client, call: Callable[[], object], shown: str | None) -> None:
    before = state(client)
    expect_error(call, shown)
    assert state(client) == before


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=4),
    st.binary(max_size=4),
    st.just(ODD),
    st.just(slice(None, None, -1)),
    st.just({"a": ODD}),
    st.just(np.array(["a"])),
    st.just(torch.ones(2, 2)),
    st.lists(st.integers(-3, 3), max_size=3),
    st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
)
METHODS = sorted({name for name, _ in READS + WRITES} - {"__bool__", "__int__", "__float__", "__index__"})


@settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@hypothesis_seed(SEED)
@given(st.sampled_from(METHODS), st.lists(ANYTHING, max_size=4))
def check_random_call(client: tb.Client, tensor: tb.Tensor, method: str, arguments: list[Any]) -> None:
    """Whatever is given: a result, or an error of an expected class that leaves the elements alone."""
    tensor.copy_(torch.arange(6.0).reshape(2, 3))
    before = tensor.numpy().tobytes()
    try:
        getattr(tensor, method)(*arguments)
    except EXPECTED as error:
        assert "incompatible function arguments" not in str(error), (method, arguments, error)
        assert tensor.numpy().tobytes() == before, (method, arguments)


def test_random_calls(client: tb.Client) -> None:
    print(f"TENSORBROKER_TEST_SEED={SEED}")
    tensor = client.zeros(2, 3)
    before = state(client)
    check_random_call(client, tensor)
    assert state(client) == before


def test_the_table_names_every_public_method() -> None:
    """A method that is added to Client is added to the table."""
    public = {name for name in dir(tb.Client) if not name.startswith("_")} - {"close", "closed", "instance", "stats"}
    public -= {"wait_async"}  # whose errors come when it is awaited: test_asyncio.py
    tabled = {row[0].split("(")[0] for row in CLIENT}
    assert public - tabled == set()
    assert len(set(itertools.chain(tabled))) == len(tabled)

"""docs/interop.md says what this measures: where the elements lie after each way to a neighbour and back.

With TENSORBROKER_WRITE_PAGES=1 in the environment the tables of the page are written anew.
"""

import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import neighbours
import numpy as np
import pytest
import tensorbroker as tb
from neighbours import GROUPS, IN, OUT, address, as_array, content, dtype_name, sample

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
SAME, READ_ONLY, PRIVATE, COPY, REFUSED = "=", "= r", "private", "copy", "no"
MAPPED = 1 << 17  # elements, of which a sealed tensor is mapped privately, not copied

SHAPES: dict[str, Callable[[tb.Client], tb.Tensor]] = {
    "no dimension": lambda client: client.tensor(5.0),
    "no element": lambda client: client.zeros(3, 0, 2),
    "transposed": lambda client: client.tensor(np.arange(6, dtype=np.float32).reshape(2, 3)).t(),
    "every other one": lambda client: client.tensor(np.arange(6, dtype=np.float32))[::2],
    "4 bytes into its block": lambda client: client.tensor(np.arange(6, dtype=np.float32))[1:],
}


@pytest.fixture(autouse=True)
def quietly() -> Any:
    """Let no warning of a neighbour through: torch warns of read-only memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def refused(call: Callable[[], Any]) -> Any:
    """Return what the call returns; None where the neighbour refuses it with an exception."""
    try:
        return call()
    except AssertionError:
        raise
    except Exception:
        return None


def outgoing(make: Callable[[np.ndarray], tb.Tensor], size: int, dtype: str, way: Callable[[Any], Any]) -> str:
    """Measure one dtype on one way out."""
    array = sample(dtype, size)
    tensor = make(array)
    got = refused(lambda: way(tensor))
    if got is None:
        return REFUSED
    assert dtype_name(got) == dtype
    assert content(got, array.nbytes) == array.tobytes()
    if address(got) == tensor.data_ptr():
        return SAME
    return PRIVATE if tensor.sealed and address(got) == tensor.torch().data_ptr() else COPY


def incoming(dtype: str, source: Callable[[str], Any], way: Callable[[Any], tb.Tensor]) -> str:
    """Measure one dtype on one way in."""
    array = refused(lambda: source(dtype))
    tensor = None if array is None else refused(lambda: way(array))
    if tensor is None:
        return REFUSED
    assert tensor.dtype.name == dtype
    assert content(tensor, tensor.nbytes) == sample(dtype).tobytes()
    if tensor.data_ptr() != address(array):
        return COPY
    try:
        tensor[0] = 1
    except tb.ReadOnlyError:
        return READ_ONLY
    return SAME


def shaped(make: Callable[[], tb.Tensor], way: Callable[[Any], Any]) -> str:
    """Measure one shape on one way out."""
    tensor = make()
    got = refused(lambda: way(tensor))
    if got is None:
        return REFUSED
    assert np.array_equal(as_array(got), tensor.numpy())
    return SAME if tensor.numel() == 0 or address(got) == tensor.data_ptr() else COPY


def cell(measure: Callable[[str], str], dtypes: Iterable[str]) -> str:
    """Measure a group of dtypes; where they differ, name them."""
    found = {dtype: measure(dtype) for dtype in dtypes}
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "; ".join(f"{outcome} {dtype}" for dtype, outcome in found.items())


def table(columns: Iterable[str], rows: Iterable[tuple[str, str, list[str]]]) -> list[str]:
    """Render a table, with the neighbour's name in its first row alone."""
    head = ["", "", *columns]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    before = ""
    for neighbour, code, cells in rows:
        lines.append(f"| {neighbour if neighbour != before else ''} | {code} | {' | '.join(cells)} |")
        before = neighbour
    return lines


def measured(client: tb.Client) -> dict[str, list[str]]:
    """Return the tables of the page, by name."""

    def out(make: Callable[[np.ndarray], tb.Tensor], size: int) -> list[str]:
        return table(
            GROUPS,
            [
                (name, code, [cell(lambda d, w=way: outgoing(make, size, d, w), group) for group in GROUPS.values()])
                for name, code, way in OUT
            ],
        )

    back = [
        (name, code, [cell(lambda d, s=source, w=way: incoming(d, s, w), group) for group in GROUPS.values()])
        for name, code, source, way in IN
    ]
    shapes = [
        (name, code, [shaped(lambda m=make: m(client), way) for make in SHAPES.values()])
        for name, code, way in OUT
        if name in neighbours.TAKE_ANY_SHAPE
    ]
    return {
        "mutable": out(client.tensor, 64),
        "sealed": out(lambda array: client.put("x", array), MAPPED),
        "back": table(GROUPS, back),
        "shapes": table(SHAPES, shapes),
    }


def with_tables(text: str, tables: dict[str, list[str]]) -> str:
    """Put the tables between their marks."""
    for name, lines in tables.items():
        begin, end = f"<!-- measured: {name} -->\n", f"<!-- end of {name} -->\n"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = before + begin + "\n" + "\n".join(lines) + "\n\n" + end + after
    return text


def test_the_page_says_what_is_measured(client: tb.Client, jax: ModuleType) -> None:
    text = PAGE.read_text(encoding="utf-8")
    now = with_tables(text, measured(client))
    if os.environ.get("TENSORBROKER_WRITE_PAGES"):
        PAGE.write_text(now, encoding="utf-8")
        return
    assert text == now, f"write {PAGE.name} anew: TENSORBROKER_WRITE_PAGES=1 pytest {__file__}"

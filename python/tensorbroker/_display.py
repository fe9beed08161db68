"""What notebooks show of tensors, bundles and listings: HTML of a bounded length, every text of a user's escaped."""

import html
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tensorbroker._core import Bundle, Info, Tensor

_EDGE_ROWS = 20  # rows of a long table at each end
_EDGE_ITEMS = 6  # the elements of a long dimension that a tensor's text shows
_MOST_ELEMENTS = 2000
_MOST_METADATA = 200  # characters

_Row = TypeVar("_Row")


def tensor_html(tensor: Tensor) -> str:
    """Return a line of what the tensor is, and torch's text of its elements where it is not too long."""
    try:
        title = _tensor_title(tensor)
    except RuntimeError:  # released
        return _text(repr(tensor))
    # Many short dimensions are shown whole, however many elements that makes.
    shown = tensor.numel() if tensor.numel() <= 1000 else math.prod(min(size, _EDGE_ITEMS) for size in tensor.shape)
    return title + (_text(repr(tensor)) if shown <= _MOST_ELEMENTS else _text(f"tensor of {tensor.numel():,} elements"))


def bundle_html(bundle: Bundle) -> str:
    """Return a line of what the bundle is, and a table of its members."""
    try:
        names = [*bundle]
    except RuntimeError:  # released
        return _text(repr(bundle))
    parts = [f"{len(names):,} tensors", f"{bundle.nbytes:,} bytes"]
    title = _title("Bundle", bundle.name, [f"version {bundle.version}", *parts], bundle.metadata)
    return title + _table(("member", "dtype", "shape", "bytes"), names, lambda name: _member(name, bundle[name]))


def listing_html(listing: Sequence[Info]) -> str:
    """Return a table of the names."""
    head = ("name", "kind", "dtype", "shape", "bytes", "version", "mutable", "metadata")
    return _table(head, listing, _info)


def _tensor_title(tensor: Tensor) -> str:
    kind = "sealed" if tensor.sealed else "mutable" if tensor.mutable else "private"
    parts = [tensor.dtype.name, _shape(tensor.shape), f"{tensor.nbytes:,} bytes", kind]
    return _title("Tensor", tensor.name, parts, tensor.metadata)


def _title(kind: str, name: str, parts: Sequence[str], metadata: dict[str, Any]) -> str:
    named = f"{kind} <b>{html.escape(name)}</b>" if name else kind
    more = [*parts, *([_json(metadata)] if metadata else [])]
    return f"<div>{named}: {html.escape(', '.join(more))}</div>"


def _member(name: str, tensor: Tensor) -> Sequence[str]:
    return name, tensor.dtype.name, _shape(tensor.shape), f"{tensor.nbytes:,}"


def _info(info: Info) -> Sequence[str]:
    dtype = "" if info.dtype is None else info.dtype.name
    metadata = _json(info.metadata) if info.metadata else ""
    mutable = "yes" if info.mutable else ""
    return info.name, info.kind, dtype, _shape(info.shape), f"{info.nbytes:,}", str(info.version), mutable, metadata


def _shape(sizes: Sequence[int]) -> str:
    return f"[{', '.join(map(str, sizes))}]"


def _json(metadata: dict[str, Any]) -> str:
    text = json.dumps(metadata, ensure_ascii=False)
    return text if len(text) <= _MOST_METADATA else text[:_MOST_METADATA] + "…"


def _text(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"


def _table(head: Sequence[str], items: Sequence[_Row], row_of: Callable[[_Row], Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str = "td") -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    left_out = len(items) - 2 * _EDGE_ROWS
    if left_out <= 0:
        rows = [row(row_of(item)) for item in items]
    else:
        rows = [row(row_of(item)) for item in items[:_EDGE_ROWS]]
        rows.append(f'<tr><td colspan="{len(head)}">… {left_out:,} more …</td></tr>')
        rows += [row(row_of(item)) for item in items[-_EDGE_ROWS:]]
    return f"<table><thead>{row(head, 'th')}</thead><tbody>{''.join(rows)}</tbody></table>"

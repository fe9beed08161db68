"""Nested state as a bundle: the tensors as members by dotted path, everything else as metadata, and back.

A mapping is nested when a value of it is a mapping, or a list or tuple that holds a mapping or a tensor: an optimizer's
state_dict, say. Every tensor in it becomes the member "state.0.exp_avg", every other leaf the metadata
"param_groups.0.lr". What the containers were is written down beside them, under the key STRUCTURE, as one node:

    "t"                 the next member
    "v"                 the metadata of this path
    "f"                 the same, the text of a float that JSON does not have
    "p"                 the same, a list that was a tuple
    n                   a dict of the next n members, whose names less this path are its keys
    ["d", {key: node}]  a dict; ["i", {key: node}] one whose keys are ints
    ["l", [node]]       a list; ["u", [node]] a tuple
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tensorbroker import _core

STRUCTURE = "tensorbroker.nested"
_MAX_DEPTH = 64


def flatten(data: Mapping[Any, Any], metadata: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the members and the metadata of a bundle that nested() gives back as `data`.

    Raises TypeError for a key that is neither str nor int and for a leaf that is neither a tensor nor a JSON value,
    ValueError where two leaves have one path, or a path is a key of `metadata` too.
    """
    writer = _Writer(dict(metadata or {}))
    if STRUCTURE in writer.values:
        raise ValueError(f"the metadata key {STRUCTURE!r} is this package's own; take another one")
    writer.values[STRUCTURE] = writer.node(data, "", 0)
    return writer.members, writer.values


def restore(bundle: _core.Bundle, form: str = "tensor") -> dict[str, Any]:
    """Return what flatten() was given, with the tensors in this form: "tensor", "numpy" or "torch"."""
    if form not in ("tensor", "numpy", "torch"):
        raise ValueError(f"nested(): the form is 'tensor', 'numpy' or 'torch', not {form!r}")
    members = dict(bundle.items()) if form == "tensor" else getattr(bundle, form)()
    metadata = bundle.metadata
    if STRUCTURE not in metadata:
        return members
    rest = iter(members.items())
    try:
        nested = _Reader(metadata, rest).node(metadata[STRUCTURE], "")
    except (StopIteration, KeyError, IndexError, TypeError, ValueError) as error:
        message = f"the bundle {bundle.name!r} has other members than its metadata {STRUCTURE!r} says"
        raise ValueError(message) from error
    if not isinstance(nested, dict) or next(rest, None) is not None:
        raise ValueError(f"the metadata {STRUCTURE!r} of the bundle {bundle.name!r} is not that of its members")
    return nested


def is_nested_value(value: Any) -> bool:
    """Return whether a mapping with this value is nested. A list of numbers is not: it makes a tensor."""
    if isinstance(value, list | tuple):
        return any(is_nested_value(item) or _is_array(item) for item in value)
    return isinstance(value, Mapping)


def _is_array(item: Any) -> bool:
    return _core._is_array_like(item) and getattr(item, "ndim", 1) > 0


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))


class _Writer:
    def __init__(self, values: dict[str, Any]) -> None:
        self.members: dict[str, Any] = {}
        self.values = values

    def node(self, value: Any, path: str, depth: int) -> Any:
        """Note all leaves under the path, and return its node."""
        if depth > _MAX_DEPTH:
            raise ValueError(f"{path!r} lies more than {_MAX_DEPTH} containers deep, or in itself")
        if isinstance(value, Mapping):
            return self.mapping(value, path, depth)
        if _core._is_array_like(value):
            self.note(self.members, path, value)
            return "t"
        if isinstance(value, list | tuple) and not all(map(_is_plain, value)):
            nodes = [self.node(item, _join(path, i), depth + 1) for i, item in enumerate(value)]
            return ["u" if isinstance(value, tuple) else "l", nodes]
        return self.leaf(value, path)

    def mapping(self, value: Mapping[Any, Any], path: str, depth: int) -> Any:
        kinds = {type(key) for key in value}
        if not kinds <= {str} and kinds != {int}:
            shown = next((key for key in value if type(key) not in (str, int)), None)
            what = "str and int keys at once" if shown is None else f"the key {shown!r}"
            raise TypeError(f"{path or 'the mapping'} has {what}; the keys of one mapping are all str or all int")
        nodes = {str(key): self.node(item, _join(path, key), depth + 1) for key, item in value.items()}
        if kinds == {int}:
            return ["i", nodes]
        return len(nodes) if all(node == "t" for node in nodes.values()) else ["d", nodes]

    def leaf(self, value: Any, path: str) -> str:
        if isinstance(value, float) and not math.isfinite(value):
            self.note(self.values, path, str(value))
            return "f"
        if not _is_plain(list(value) if isinstance(value, tuple) else value):
            raise TypeError(f"{path!r} is a {type(value).__name__}, neither a tensor nor a JSON value; leave it out")
        self.note(self.values, path, list(value) if isinstance(value, tuple) else value)
        return "p" if isinstance(value, tuple) else "v"

    def note(self, where: dict[str, Any], path: str, value: Any) -> None:
        if path in self.members or path in self.values:
            raise ValueError(f"two things are called {path!r} here; rename one of them")
        where[path] = value


class _Reader:
    def __init__(self, values: dict[str, Any], members: Iterator[tuple[str, Any]]) -> None:
        self.values = values
        self.members = members

    def node(self, node: Any, path: str) -> Any:
        """Return what the node at the path stands for."""
        if isinstance(node, int):
            members = [self.member(path) for _ in range(node)]
            return dict(members)
        match node:
            case "t":
                return next(self.members)[1]
            case "v":
                return self.values[path]
            case "f":
                return float(self.values[path])
            case "p":
                return tuple(self.values[path])
            case ["d", nodes]:
                return {key: self.node(inner, _join(path, key)) for key, inner in nodes.items()}
            case ["i", nodes]:
                return {int(key): self.node(inner, _join(path, key)) for key, inner in nodes.items()}
            case ["l", nodes]:
                return [self.node(inner, _join(path, i)) for i, inner in enumerate(nodes)]
            case ["u", nodes]:
                return tuple(self.node(inner, _join(path, i)) for i, inner in enumerate(nodes))
        raise ValueError(f"there is no node {node!r}")

    def member(self, path: str) -> tuple[str, Any]:
        name, value = next(self.members)
        return (name.removeprefix(path + ".") if path else name), value

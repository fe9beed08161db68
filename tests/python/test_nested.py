"""Nested state as a bundle: tensors by dotted path, the other leaves as metadata, and the whole back."""

import math
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import tensorbroker as tb
import torch


def numbers(data: Any) -> Any:
    """Return the same with lists for tensors."""
    if isinstance(data, dict):
        return {key: numbers(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return type(data)(numbers(value) for value in data)
    return data.tolist() if hasattr(data, "tolist") else data


def trained() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    model(torch.ones(5, 3)).sum().backward()
    optimizer.step()
    return model, optimizer


def test_an_optimizers_state(client: tb.Client) -> None:
    model, optimizer = trained()
    bundle = client.put("optimizer", optimizer.state_dict(), metadata={"step": 1})
    assert bundle["state.0.exp_avg"].shape == (4, 3)
    assert bundle.metadata["step"] == 1
    assert bundle.metadata["param_groups.0.lr"] == 0.02
    other = torch.optim.AdamW(model.parameters())
    other.load_state_dict(client.get("optimizer").nested("torch"))
    assert numbers(other.state_dict()) == numbers(optimizer.state_dict())
    assert other.state_dict()["param_groups"][0]["betas"] == (0.9, 0.999)


def test_a_checkpoint(client: tb.Client) -> None:
    model, optimizer = trained()
    checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "note": None}
    bundle = client.put("checkpoint", checkpoint)
    assert bundle["model.0.weight"].shape == (4, 3)
    restored = bundle.nested("torch")
    assert list(restored) == list(checkpoint)
    model.load_state_dict(restored["model"])
    assert numbers(restored) == numbers({**checkpoint, "model": dict(checkpoint["model"])})


def test_every_kind_of_container_and_leaf(client: tb.Client) -> None:
    data = {
        "a.b": {"c": np.arange(3), "d.e": np.ones(2), "": np.zeros(1)},
        "ints": {0: {"x": np.ones(1)}, -7: 5},
        "list": [np.ones(2), {"y": np.ones(1)}, (np.zeros(2), "text"), []],
        "tuple": (1, 2.5, None),
        "plain": {"yes": True, "no": None, "many": [1, ["two"], 3.0], "big": 2**70},
        "infinite": [math.inf, -math.inf],
        "empty": {},
        "number": np.float32(2),
    }
    bundle = client.put("m", data)
    assert bundle["a.b.d.e"].tolist() == [1, 1]
    assert bundle["list.2.0"].tolist() == [0, 0]
    assert bundle.metadata["plain.many"] == [1, ["two"], 3.0]
    for form, kind in [("tensor", tb.Tensor), ("numpy", np.ndarray), ("torch", torch.Tensor)]:
        nested = bundle.nested(form)
        assert isinstance(nested["a.b"]["c"], kind)
        assert numbers(nested) == numbers(data)
    assert client.put("again", bundle.nested())["a.b.c"].tolist() == [0, 1, 2]


def test_not_a_number(client: tb.Client) -> None:
    assert math.isnan(client.put("m", {"a": {"b": math.nan}}).nested()["a"]["b"])


def test_tied_tensors_stay_tied(client: tb.Client) -> None:
    weight = torch.ones(3)
    nested = client.put("m", {"a": {"w": weight}, "b": [weight]}).nested()
    assert nested["a"]["w"].data_ptr() == nested["b"][0].data_ptr()


def test_a_flat_bundle_is_its_own_nesting(client: tb.Client) -> None:
    bundle = client.put("m", OrderedDict(x=[1, 2], y=3), metadata={"step": 1})
    assert bundle.metadata == {"step": 1}
    assert numbers(bundle.nested()) == {"x": [1, 2], "y": 3}


def test_dtype_applies_to_the_tensors(client: tb.Client) -> None:
    nested = client.put("m", {"a": {"x": np.ones(2), "n": 1.5}}, dtype=tb.float16).nested()
    assert nested["a"]["x"].dtype is tb.float16 and nested["a"]["n"] == 1.5


def itself() -> dict[str, Any]:
    data: dict[str, Any] = {}
    data["a"] = data
    return data


@pytest.mark.parametrize(
    ("data", "metadata", "error", "message"),
    [
        ({"a": {"f": print}}, None, TypeError, "'a.f' is a builtin_function_or_method, neither a tensor nor a JSON"),
        ({"a": {1.5: 1}}, None, TypeError, "a has the key 1.5; the keys of one mapping are all str or all int"),
        ({"a": {1: 1, "1": 2}}, None, TypeError, "a has str and int keys at once"),
        ({"a": {"b": 1}, "a.b": np.ones(1)}, None, ValueError, "two things are called 'a.b' here"),
        ({"a": {"b": np.ones(1)}, "a.b": np.ones(1)}, None, ValueError, "two things are called 'a.b' here"),
        ({"a": {"b": 1}}, {"a.b": 2}, ValueError, "two things are called 'a.b' here"),
        ({"a": {"b": 1}}, {"tensorbroker.nested": 2}, ValueError, "'tensorbroker.nested' is this package's own"),
        (itself(), None, ValueError, "more than 64 containers deep, or in itself"),
        ({"a": {"b": "x" * 70000}}, None, ValueError, "at most 65536 fit, put the rest into a tensor"),
    ],
)
def test_what_cannot_be_nested(
    client: tb.Client, data: Any, metadata: Any, error: type[Exception], message: str
) -> None:
    used = client.stats()["used"]
    with pytest.raises(error, match=message):
        client.put("m", data, metadata=metadata)
    assert not client.exists("m")
    assert client.stats()["used"] == used


@pytest.mark.parametrize(
    "structure", [5, "t", ["d", {"x": "v"}], ["d", {"x": "t", "y": "t"}], {"x": 1}, None, ["l", []], 0]
)
def test_a_structure_that_does_not_fit(client: tb.Client, structure: Any) -> None:
    bundle = client.put("m", {"x": [1]}, metadata={"tensorbroker.nested": structure})
    with pytest.raises(ValueError, match="'m'"):
        bundle.nested()


def test_forms(client: tb.Client) -> None:
    with pytest.raises(ValueError, match="the form is 'tensor', 'numpy' or 'torch', not 'jax'"):
        client.put("m", {"x": [1]}).nested("jax")

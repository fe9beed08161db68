"""Bundles: a model's state_dict, published as one."""

import pickle
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import pytest
import tensorbroker as tb
import torch
from support import run


class Tied(torch.nn.Module):
    """A model whose last layer shares the first one's weight."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(width, width)
        self.norm = torch.nn.BatchNorm1d(width)
        self.head = torch.nn.Linear(width, width, bias=False)
        self.head.weight = self.embed.weight


def test_is_a_mapping(client: tb.Client) -> None:
    data = {"b": np.ones(2), "a/c": [1, 2], "n": 3}
    bundle = client.put("m", data, metadata={"step": 1})
    assert isinstance(bundle, Mapping)
    assert list(bundle) == list(bundle.keys()) == ["b", "a/c", "n"]
    assert len(bundle) == 3 and "b" in bundle and "x" not in bundle and 5 not in bundle
    assert [t.tolist() for t in bundle.values()] == [[1, 1], [1, 2], 3]
    assert {name: t.tolist() for name, t in bundle.items()}["n"] == 3
    assert bundle.get("x") is None and bundle.get("b").tolist() == [1, 1]
    assert (bundle.name, bundle.metadata, bundle.nbytes) == ("m", {"step": 1}, 40)
    assert "Bundle('m', version=" in repr(bundle)
    with pytest.raises(tb.NotFoundError, match="the bundle 'm' has no member 'x'"):
        bundle["x"]


def test_get_and_put_again(client: tb.Client) -> None:
    put = client.put("m", OrderedDict(x=torch.arange(3), y=torch.ones(2)))
    got = client.get("m")
    assert got.version == put.version
    assert got["x"].data_ptr() == put["x"].data_ptr()
    copy = client.put("copy", got)
    assert list(copy) == ["x", "y"] and copy["x"].tolist() == [0, 1, 2]
    assert client.put("half", got, dtype=tb.float16)["x"].dtype is tb.float16


def test_state_dict(client: tb.Client) -> None:
    model = Tied()
    bundle = client.put("model", model.state_dict())
    restored = Tied()
    restored.load_state_dict(bundle.torch(), assign=True)
    for name, value in model.state_dict().items():
        assert torch.equal(restored.state_dict()[name], value)


@pytest.mark.parametrize("width", [8, 300])  # copied, and mapped
def test_tied_tensors_stay_tied(client: tb.Client, width: int) -> None:
    model = Tied(width)
    bundle = client.put("model", model.state_dict())
    assert bundle["head.weight"].data_ptr() == bundle["embed.weight"].data_ptr()
    assert client.stats()["live"] < 1.5 * 4 * width * width + 64 * 1024
    tensors = bundle.torch()
    assert tensors["head.weight"].data_ptr() == tensors["embed.weight"].data_ptr()
    assert tensors["head.weight"].untyped_storage().data_ptr() == tensors["embed.weight"].untyped_storage().data_ptr()
    assert torch.equal(tensors["head.weight"], model.head.weight)


def test_tied_by_a_view(client: tb.Client) -> None:
    weight = torch.arange(12.0).reshape(3, 4)
    bundle = client.put("m", {"w": weight, "t": weight.t(), "row": weight[1]})
    tensors = bundle.torch()
    tensors["w"][1, 2] = 100
    assert tensors["t"][2, 1] == tensors["row"][2] == 100
    assert bundle["w"].tolist() == weight.tolist()


def test_tied_stay_tied_when_converted(client: tb.Client) -> None:
    weight = torch.arange(4.0)
    bundle = client.put("m", {"a": weight, "b": weight}, dtype=tb.float64)
    assert bundle["a"].data_ptr() == bundle["b"].data_ptr()


def test_numpy(client: tb.Client) -> None:
    arrays = client.put("m", {"x": [1, 2], "y": np.ones((2, 2))}).numpy()
    assert list(arrays) == ["x", "y"]
    assert arrays["x"].tolist() == [1, 2] and not arrays["x"].flags.writeable


def test_members_keep_the_bundle(client: tb.Client) -> None:
    bundle = client.put("m", {"x": [1, 2], "y": [3.0]})
    member = bundle["y"]
    bundle.release()
    client.delete("m")
    with pytest.raises(tb.ClosedError, match="was released"):
        bundle["x"]
    assert member.tolist() == [3.0]


def test_empty_and_zero_size(client: tb.Client) -> None:
    assert dict(client.put("m", {})) == {}
    bundle = client.put("m", {"e": np.ones((0, 2)), "x": [1]})
    assert bundle["e"].shape == (0, 2)
    assert bundle.torch()["e"].shape == (0, 2)


def test_pickle(client: tb.Client) -> None:
    bundle = client.put("m", {"x": [1, 2], "y": [3]})
    copy = pickle.loads(pickle.dumps(bundle))
    assert copy.version == bundle.version and copy["x"].tolist() == [1, 2]
    assert pickle.loads(pickle.dumps(bundle["y"])).tolist() == [3]
    assert client.open(bundle.handle)["x"].tolist() == [1, 2]


def test_another_process(client: tb.Client) -> None:
    client.put("m", {"x": [1, 2], "y": [3.5]}, metadata={"step": 7})
    code = "import tensorbroker as tb; b = tb.get('m'); print({k: v.tolist() for k, v in b.items()}, b.metadata)"
    assert run(code) == "{'x': [1, 2], 'y': [3.5]} {'step': 7}\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": None}, "the member 'a': .*'NoneType'.*leave out what is no tensor, or keep it in the metadata"),
        ({"a": "text"}, "the member 'a': .*'str'"),
        ({"a": np.array([None])}, "the member 'a': .*hold numbers, not objects"),
        ({1: [1]}, "the names of a bundle's members are str, not 'int'"),
    ],
)
def test_what_is_no_bundle(client: tb.Client, data: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        client.put("m", data)
    assert not client.exists("m")


def test_300_members(client: tb.Client) -> None:
    bundle = client.put("m", {f"layer{i}": np.full(100, i, np.float32) for i in range(300)})
    assert len(bundle) == 300
    assert all(bundle[f"layer{i}"].numpy()[99] == i for i in range(300))

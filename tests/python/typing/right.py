"""What users type, and what type checkers make of it under --strict. Checked, not run."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
import tensorbroker as tb
import torch
import torch.utils.dlpack
from numpy.typing import NDArray


def put_what_there_is(name: str) -> None:
    assert_type(tb.put(name, np.ones((2, 3), np.float32)), tb.Tensor)
    assert_type(tb.put(name, torch.ones(3)), tb.Tensor)
    assert_type(tb.put(name, [[1, 2], [3, 4]], dtype="float16"), tb.Tensor)
    assert_type(tb.put(name, [[[1.0]], [[True]]], dtype=np.float64), tb.Tensor)
    assert_type(tb.put(name, (1, 2j), dtype=np.dtype("complex64")), tb.Tensor)
    assert_type(tb.put(name, [np.float32(1), torch.tensor(2.0)], dtype=torch.float64), tb.Tensor)
    assert_type(tb.put(name, 3, dtype=float), tb.Tensor)
    assert_type(tb.put(name, b"bytes", metadata={"kind": "text", "tags": [1, None]}), tb.Tensor)
    assert_type(tb.put(name, tb.zeros(3), overwrite=False), tb.Tensor)
    assert_type(tb.put(name, memoryview(b"12")), tb.Tensor)


def put_models(net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    model = tb.put("model", net.state_dict(), metadata={"step": 100})
    assert_type(model, tb.Bundle)
    assert_type(tb.put("copy", model), tb.Bundle)
    assert_type(tb.put("checkpoint", {"model": net.state_dict(), "optimizer": optimizer.state_dict()}), tb.Bundle)
    assert_type(tb.put("arrays", {0: np.ones(3), 1: {"b": 2.0}}), tb.Bundle)
    net.load_state_dict(model.torch(), assign=True)
    assert_type(model.torch(), dict[str, torch.Tensor])
    assert_type(model.get("w"), tb.Tensor | None)
    assert_type(model.get("w", 0), tb.Tensor | int)
    return model.version


def names_and_tensors(bundle: tb.Bundle) -> dict[str, tuple[int, ...]]:
    first: tb.Tensor = bundle["fc.weight"]
    print(first.shape.numel(), bundle.numpy()["fc.weight"].sum(), bundle.nested("numpy"))
    return {name: tensor.shape for name, tensor in bundle.items()}


def get_either() -> NDArray[np.float32]:
    found = tb.get("weights", timeout=1.0)
    assert_type(found, Any)
    print(found.version, found.name, found.handle, found.metadata["step"] + 1, found.nbytes)
    weights: tb.Tensor = found
    assert_type(weights.torch(), torch.Tensor)
    print(tb.get("model")["fc.weight"].shape)
    return weights.numpy()


def open_and_watch(name: str, mode: str) -> None:
    assert_type(tb.open(name, "r+"), tb.Tensor)
    assert_type(tb.open(name), Any)
    assert_type(tb.open(name, mode="c"), Any)
    assert_type(tb.open(name, mode), Any)
    assert_type(tb.wait(name, newer_than=3, timeout=5), Any)
    for version in tb.watch(name, start="next", timeout=1.5):
        assert_type(version, Any)


def draft(path: Path) -> None:
    with tb.create("x", (2, 3), tb.int64, metadata={}) as t:
        assert_type(t, tb.Tensor)
        t.numpy()[...] = 1
    tb.create("y", 4).publish()
    assert_type(tb.load_safetensors("llm", path), tb.Bundle)
    tb.save_safetensors("llm", "model.safetensors")


def factories() -> None:
    shape = tb.zeros(2, 3, dtype=tb.float32, name="counters").shape
    assert_type(shape, tb.Size)
    assert_type(shape[0], int)
    assert_type(shape[1:], tb.Size)
    tb.ones(shape)
    tb.empty(size=(2, 3))
    tb.full((2,), 1.5)
    tb.arange(0, 10, 2, dtype="int32")
    tb.arange(end=5.0)
    tb.rand(2, 3, generator=np.random.default_rng(0))
    tb.zeros_like(np.ones(3)).fill_(3).copy_(torch.ones(3))
    tb.tensor([[1, 2], [3, 4]], metadata={"a": 1}).share_memory_()


def tensors(t: tb.Tensor) -> float:
    assert_type(t[0, ..., None, 1:3], tb.Tensor)
    assert_type(t[[0, 2]][np.array([True, False])], tb.Tensor)
    t[0] = 5
    t[:, t.numpy() > 3] = [1.0, 2.0]
    assert_type(t.view(2, -1).view((3, 2)).view(tb.int32).view(dtype="int16"), tb.Tensor)
    assert_type(t.size(0), int)
    assert_type(t.size(), tb.Size)
    assert_type(t.stride(), tuple[int, ...])
    assert_type(t.dtype, tb.dtype)
    assert_type(t.split(2) + t.chunk(2, dim=1), tuple[tb.Tensor, ...])
    assert_type([row for row in t], list[tb.Tensor])  # noqa: C416
    t.permute(1, 0).permute((1, 0)).reshape([2, 3]).to(torch.float16).to("cpu", tb.float32, copy=True)
    print(t == None, np.asarray(t), torch.utils.dlpack.from_dlpack(t), memoryview(t), t.device == "cpu")  # noqa: E711
    return float(t.item() + 1) + float(t) + len(t)


def listings(client: tb.Client) -> list[str]:
    infos = client.list("digits/")
    assert_type(infos, tb.Listing)
    print([(info.name, info.kind, info.dtype, info.created) for info in infos if info.holders])
    assert_type(tb.stats()["used"], int)
    assert_type(tb.stats()["limits"], dict[str, int])
    tb.reserve("1GiB")
    return [name for name in client if name in client and tb.exists(name)]


def errors() -> tb.Client | None:
    try:
        return tb.connect("mine", runtime_dir=Path("/run"), autostart=False, timeout=None, capacity="8GiB")
    except (tb.BrokerUnavailableError, tb.VersionMismatchError) as error:
        caught: ConnectionError | RuntimeError = error
        print(caught)
    except tb.QuotaError as full:
        assert_type(full, tb.QuotaError)
    return None

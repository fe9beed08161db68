"""Read-only means it: what is sealed stays as it is, whatever a neighbour does with what it was given.

torch knows no read-only memory, so what it gets of a sealed tensor are private pages. A stray write there changes
nobody else's bytes, and ends nobody.
"""

import ctypes
import io
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorbroker as tb
import torch
from support import Program, run

MAPPED = 1 << 14  # float64: mapped copy-on-write; fewer are copied
SIZES = pytest.mark.parametrize("size", [4, MAPPED], ids=["copied", "mapped"])

GIVEN_TO_TORCH: dict[str, Callable[[Any], torch.Tensor]] = {
    "torch": lambda t: t.torch(),
    "from_dlpack": torch.from_dlpack,
    "utils.dlpack": torch.utils.dlpack.from_dlpack,
    "capsule": lambda t: torch.from_dlpack(t.__dlpack__()),
    "versioned capsule": lambda t: torch.from_dlpack(t.__dlpack__(max_version=(1, 0))),
    "as_tensor": torch.as_tensor,
    "view": lambda t: t[1:].torch(),
    "transposed": lambda t: t.view(2, -1).t().torch(),
}


def protection(address: int) -> str:
    """Return how the kernel has the page mapped: "r--s" for shared and read-only."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end, flags = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
        if int(begin, 16) <= address < int(end, 16):
            return flags
    raise AssertionError(f"nothing is mapped at {address:#x}")


def mappings() -> int:
    """Count the memory mappings of this process."""
    return len(Path("/proc/self/maps").read_text().splitlines())


# ---------------------------------------------------------------- the pages themselves


@SIZES
def test_sealed_pages_are_mapped_read_only(client: tb.Client, size: int) -> None:
    tensor = client.put("x", np.zeros(size))
    for address in (tensor.data_ptr(), tensor.numpy().ctypes.data, client.get("x").numpy()[1:].ctypes.data):
        assert protection(address) == "r--s"
    with client.create("y", size) as draft:
        assert protection(draft.data_ptr()) == "rw-s"
    assert protection(draft.data_ptr()) == "r--s"


def test_each_mode_has_its_pages(client: tb.Client) -> None:
    client.zeros(MAPPED, name="x")
    assert protection(client.open("x", "r").numpy().ctypes.data) == "r--s"
    assert protection(client.open("x", "r+").data_ptr()) == "rw-s"
    assert protection(client.open("x", "c").data_ptr()) == "rw-p"


@SIZES
def test_a_write_through_a_bare_pointer_ends_the_writer_alone(client: tb.Client, size: int) -> None:
    client.put("x", np.zeros(size))
    code = """
import ctypes, tensorbroker as tb
print("writing", flush=True)
ctypes.memset(tb.get("x").data_ptr(), 7, 1)
"""
    with Program(code) as program:
        assert program.read() == "writing"
        assert program.kill(0) == -signal.SIGSEGV  # signal 0: it ends by itself
    assert client.get("x").numpy().max() == 0


# ---------------------------------------------------------------- NumPy and buffers


def test_arrays_of_a_sealed_tensor_stay_read_only(client: tb.Client) -> None:
    tensor = client.put("x", np.arange(6.0).reshape(2, 3))
    for array in (tensor.numpy(), np.asarray(tensor), tensor.numpy()[1:], np.from_dlpack(tensor), tensor.t().numpy()):
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
            array.flags.writeable = True
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            np.add(array, 1, out=array)
    assert np.array(tensor).flags.writeable  # a copy


def test_buffers_of_a_sealed_tensor_stay_read_only(client: tb.Client) -> None:
    tensor = client.put("x", np.arange(6, dtype=np.uint8))
    assert memoryview(tensor).readonly
    with pytest.raises(TypeError, match="read-only"):
        memoryview(tensor)[0] = 1
    with pytest.raises(TypeError, match="underlying buffer is not writable"):
        (ctypes.c_char * 6).from_buffer(tensor)
    with pytest.raises(TypeError, match="must be read-write bytes-like object"):
        io.BytesIO(b"abcdef").readinto(tensor)
    assert bytes(tensor) == bytes(range(6))


# ---------------------------------------------------------------- torch


@SIZES
@pytest.mark.parametrize("way", list(GIVEN_TO_TORCH))
def test_a_stray_write_of_torch_changes_nobody_elses_bytes(client: tb.Client, way: str, size: int) -> None:
    tensor = client.put("x", np.zeros(size))
    other = client.get("x")
    with Program("import tensorbroker as tb; t = tb.get('x'); input(); print(t.numpy().max())") as reader:
        mine = GIVEN_TO_TORCH[way](tensor)
        mine.add_(7)
        mine.numpy()[...] += 1
        assert mine.min() == 8
        reader.write()
        assert reader.read() == "0.0"
    for seen in (tensor.numpy(), other.numpy(), client.get("x").numpy(), client.get("x").torch().numpy()):
        assert seen.max() == 0
    assert client.put("again", tensor).numpy().max() == 0


@SIZES
def test_one_private_copy_for_all_exports_of_a_storage(client: tb.Client, size: int) -> None:
    tensor = client.put("x", np.arange(size * 1.0))
    before = mappings()
    exports = [way(tensor) for way in GIVEN_TO_TORCH.values()] + [np.from_dlpack(tensor), tensor.clone().torch()]
    assert mappings() <= before + 2  # the pages, and perhaps a chunk of malloc's
    assert len({export.untyped_storage().data_ptr() for export in exports[:5]}) == 1
    exports[0][3] = 70
    assert exports[1][3] == exports[6][2] == 70
    assert tensor[3].item() == 3


def test_many_exports_are_mapped_and_more_are_copied() -> None:
    """The kernel allows 65,530 mappings: private ones stop at 16,384, and copies do as well."""
    code = """
import numpy as np, tensorbroker as tb
from pathlib import Path
maps = lambda: len(Path("/proc/self/maps").read_text().splitlines())
tb.put("x", np.zeros(8192))
tb.get("x").torch()
before = maps()
kept = [tb.get("x").torch() for _ in range(16_400)]
assert 16_384 <= maps() - before < 16_600, maps() - before
for i in (0, 16_383, 16_384, 16_399):
    kept[i][5] = i
assert [kept[i][5].item() for i in (0, 1, 16_383, 16_384, 16_399)] == [0, 0, 16_383, 16_384, 16_399]
assert tb.get("x").numpy().max() == 0
kept.clear()
assert maps() - before < 100, maps() - before
assert tb.get("x").torch().data_ptr() != tb.get("x").data_ptr()
tb.delete("x")
print(tb.stats()["retired"])
"""
    assert run(code) == "0\n"


def test_private_pages_are_never_taken_for_the_tensor(client: tb.Client) -> None:
    tensor = client.put("x", np.zeros(MAPPED))
    for private in (tensor.torch(), tensor[5:].torch(), client.open("x", "c").torch()):
        for back in (tb.from_numpy(private.numpy()), tb.from_dlpack(private), tb.from_numpy(np.from_dlpack(private))):
            assert (back.version, back.sealed, back.mutable) == (0, False, False)
            back[0] = 7
            assert private[0] == 7
            private[0] = 0
    assert tensor.numpy().max() == 0


def test_many_threads_export_at_once(client: tb.Client) -> None:
    tensor = client.put("x", np.zeros(MAPPED))
    start = threading.Barrier(8)
    found: list[torch.Tensor] = []

    def export() -> None:
        start.wait(20)
        found.extend(tensor.torch() for _ in range(50))

    threads = [threading.Thread(target=export) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.data_ptr() for one in found}) == 1
    found[0].fill_(3)
    assert tensor.numpy().max() == 0


# ---------------------------------------------------------------- bundles


@pytest.mark.parametrize("size", [8, 1 << 16], ids=["copied", "mapped"])
def test_tied_tensors_stay_tied(client: tb.Client, size: int) -> None:
    weight = torch.arange(size, dtype=torch.float32)
    members = {"a": weight, "tied": weight, "part": weight[2:6], "matrix": weight.view(2, -1).t(), "b": torch.ones(3)}
    bundle = client.put("model", members)
    before = mappings()
    given = bundle.torch()
    assert mappings() <= before + 2
    for name, source in members.items():
        assert torch.equal(given[name], source)
        assert given[name].stride() == source.stride()
    assert given["a"].data_ptr() == given["tied"].data_ptr()
    assert given["a"].untyped_storage().data_ptr() == given["part"].untyped_storage().data_ptr()
    given["a"][3] = 70
    assert given["tied"][3] == given["part"][1] == given["matrix"].t().reshape(-1)[3] == 70
    assert bundle.torch()["tied"][3] == 70  # the same pages
    assert bundle["part"].torch()[1] == 70
    assert bundle["a"][3].item() == 3
    assert client.get("model").torch()["tied"][3] == 3  # somebody else's


def test_a_model_is_trained_on_its_own_pages(client: tb.Client) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(64, 512), torch.nn.Linear(512, 64))
    model[1].weight = torch.nn.Parameter(model[0].weight.detach().t().contiguous())
    bundle = client.put("model", model.state_dict())
    model.load_state_dict(bundle.torch(), assign=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = {name: array.copy() for name, array in bundle.numpy().items()}
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    model(torch.ones(3, 64)).sum().backward()
    optimizer.step()
    assert not np.array_equal(model[0].weight.detach().numpy(), before["0.weight"])
    for name, array in client.get("model").numpy().items():
        assert np.array_equal(array, before[name])


# ---------------------------------------------------------------- modes


def test_copy_on_write(client: tb.Client) -> None:
    sealed, mutable = client.put("s", np.zeros(MAPPED)), client.zeros(MAPPED, name="m")
    for name, source in (("s", sealed), ("m", mutable)):
        private = client.open(name, "c")
        private.numpy()[5] = 7
        private.torch()[6] = 8
        assert private.numpy().ctypes.data == private.torch().data_ptr() == private.data_ptr()
        assert np.from_dlpack(private).flags.writeable
        assert (source[5].item(), source[6].item()) == (0, 0)
        assert client.open(name, "c")[5].item() == 0


def test_read_write_is_shared_by_everybody(client: tb.Client) -> None:
    client.zeros(MAPPED, name="m")
    with Program("import tensorbroker as tb; t = tb.open('m', 'r+').torch(); t[3] = 4; print(1); input()") as program:
        assert program.read() == "1"
        assert client.open("m", "r+").torch()[3] == 4
        assert client.get("m").numpy()[3] == 4
        assert not client.get("m").numpy().flags.writeable
        program.write()


def test_read_shows_changes_and_refuses_torch(client: tb.Client) -> None:
    mine = client.zeros(4, name="m")
    view = client.open("m", "r")
    array = view.numpy()
    mine.numpy()[2] = 5
    assert array[2] == view[2].item() == np.asarray(memoryview(view))[2] == 5
    with pytest.raises(tb.ReadOnlyError, match=r'open it with mode "r\+"'):
        view.torch()
    with pytest.raises(BufferError, match=r'open it with mode "r\+"'):
        torch.from_dlpack(view)

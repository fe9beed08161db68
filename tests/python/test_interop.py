"""NumPy, torch, DLPack, buffers: the same memory, and nobody spoils what is sealed."""

import gc
import weakref

import ml_dtypes
import numpy as np
import pytest
import tensorbroker as tb
import torch
from support import run


def test_sealed_numpy_aliases_the_brokers_pages(client: tb.Client) -> None:
    tensor = client.put("x", np.arange(6).reshape(2, 3))
    array = tensor.numpy()
    assert type(array) is np.ndarray
    assert array.ctypes.data == tensor.data_ptr() == client.get("x").numpy().ctypes.data
    assert not array.flags.writeable and not array.flags.owndata
    assert not isinstance(array.base, np.ndarray)
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        array.flags.writeable = True
    assert np.asarray(tensor).ctypes.data == tensor.data_ptr()
    assert array.ctypes.data % 64 == 0


def test_mutable_is_pointer_equal_everywhere(client: tb.Client) -> None:
    tensor = client.zeros(2, 3, name="x")
    pointer = tensor.data_ptr()
    assert tensor.numpy().ctypes.data == pointer
    assert tensor.torch().data_ptr() == pointer
    assert torch.from_dlpack(tensor).data_ptr() == pointer
    assert np.from_dlpack(tensor).ctypes.data == pointer
    assert np.asarray(tensor).ctypes.data == pointer
    assert tb.from_numpy(tensor.numpy()).data_ptr() == pointer
    assert tb.from_dlpack(tensor.torch()).data_ptr() == pointer
    tensor.torch()[1, 1] = 5
    assert tensor[1, 1].item() == 5


def test_views_of_mutable_tensors(client: tb.Client) -> None:
    view = client.tensor(np.arange(24).reshape(4, 6))[1:, ::2].t()
    for other in (view.torch(), view.numpy(), torch.from_dlpack(view)):
        assert other.tolist() == view.tolist()
    assert view.torch().stride() == view.stride()


@pytest.mark.parametrize("size", [4, 1 << 16])  # copied, and mapped copy-on-write
def test_writes_to_torch_of_sealed_are_harmless(client: tb.Client, size: int) -> None:
    tensor = client.put("x", np.zeros(size))
    mine = tensor.torch()
    mine.fill_(7)
    torch.from_dlpack(tensor)[0] = 8
    assert tensor.numpy().max() == 0
    assert client.get("x").numpy().max() == 0
    assert run("import tensorbroker as tb; print(tb.get('x').numpy().max())") == "0.0\n"


def test_torch_of_sealed_is_mapped_once(client: tb.Client) -> None:
    tensor = client.put("x", np.zeros(1 << 16))
    first, second = tensor.torch(), client.get("x")[5:].torch()
    assert tensor.torch().data_ptr() == first.data_ptr()
    assert second.shape == ((1 << 16) - 5,)


def test_private_pages_are_never_taken_for_the_broker_tensor(client: tb.Client) -> None:
    tensor = client.put("x", np.zeros(1 << 16))
    recovered = tb.from_numpy(tensor.torch().numpy())
    assert recovered.version == 0 and not recovered.sealed


def test_from_numpy_recovers_the_broker_tensor(client: tb.Client) -> None:
    sealed, mutable = client.put("x", np.arange(6).reshape(2, 3)), client.zeros(4, name="m")
    for tensor in (sealed, mutable):
        recovered = tb.from_numpy(tensor.numpy())
        assert (recovered.version, recovered.handle) == (tensor.version, tensor.handle)
    assert tb.from_numpy(sealed.numpy()[1, 1:]).tolist() == [4, 5]
    assert tb.from_numpy(sealed.numpy()[1, 1:]).storage_offset() == 4
    assert tb.from_numpy(np.asarray(memoryview(mutable))).version == mutable.version
    assert tb.from_numpy(mutable.torch().numpy()).version == mutable.version
    with client.create("d", 4) as draft:
        draft.numpy()[:] = [1, 2, 3, 4]
        early = tb.from_numpy(draft.numpy()[2:])
    assert tb.from_numpy(draft.numpy()[1:]).tolist() == [2, 3, 4]
    assert tb.from_numpy(draft.numpy()).version == draft.version
    assert early.tolist() == early.numpy().tolist() == early.torch().tolist() == [3, 4]


def test_from_numpy_shares_memory() -> None:
    array = np.arange(6.0).reshape(2, 3)
    tensor = tb.from_numpy(array)
    assert tensor.data_ptr() == array.ctypes.data
    assert tensor.numpy().ctypes.data == tensor.torch().data_ptr() == array.ctypes.data
    assert (tensor.version, tensor.sealed, tensor.mutable) == (0, False, False)
    view = tb.from_numpy(array[:, ::2])
    assert view.stride() == torch.from_numpy(array[:, ::2]).stride()


def test_from_numpy_refuses_what_torch_refuses() -> None:
    for array in (np.arange(3)[::-1], np.ones((2, 2), ">f4"), np.zeros(4, "i4,i2")["f0"]):
        with pytest.raises(ValueError):
            torch.from_numpy(array)
        with pytest.raises(ValueError):
            tb.from_numpy(array)
    with pytest.raises(ValueError, match=r"array\.copy\(\)"):
        tb.from_numpy(np.arange(3)[::-1])
    for array in (np.array(["a"]), np.array([None]), [1, 2], np.array(1, "M8[s]")):
        with pytest.raises(TypeError):
            torch.from_numpy(array)
        with pytest.raises(TypeError):
            tb.from_numpy(array)


def test_from_numpy_of_a_read_only_array_is_read_only() -> None:
    array = np.arange(3)
    array.flags.writeable = False
    with pytest.raises(tb.ReadOnlyError):
        tb.from_numpy(array)[0] = 1


def test_from_numpy_keeps_the_array() -> None:
    array = np.arange(3)
    alive = weakref.ref(array)
    tensor = tb.from_numpy(array)
    del array
    gc.collect()
    assert alive() is not None
    del tensor
    gc.collect()
    assert alive() is None


def test_arrays_keep_the_tensor(client: tb.Client) -> None:
    tensor = client.put("x", np.full(1 << 16, 3.0))
    parts = [tensor.numpy()[5:], memoryview(tensor)[5:], torch.from_dlpack(tensor)[5:], tensor.__dlpack__()]
    tensor.release()
    client.delete("x")
    for _ in range(4):  # would take the memory
        client.put("y", np.zeros(1 << 16))
    assert parts[0].min() == 3
    assert parts[1][0] == 3
    assert parts[2].min() == 3
    assert client.stats()["retired"] >= 1 << 19
    parts.clear()
    gc.collect()


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_ml_dtypes(client: tb.Client, dtype: str) -> None:
    tensor = client.put("x", np.array([1, 2, 0.5], getattr(ml_dtypes, dtype)))
    assert tensor.numpy().dtype == getattr(ml_dtypes, dtype)
    assert tensor.numpy().ctypes.data == tensor.data_ptr()
    assert tensor.tolist() == [1, 2, 0.5]
    with pytest.raises(AttributeError, match="ml_dtypes"):
        _ = tensor.__array_interface__
    with pytest.raises(BufferError, match=r"call \.numpy\(\)"):
        memoryview(tensor)


def test_buffer_protocol(client: tb.Client) -> None:
    view = memoryview(client.put("x", np.arange(6, dtype=np.int16).reshape(2, 3)))
    assert (view.format, view.shape, view.strides, view.readonly) == ("h", (2, 3), (6, 2), True)
    assert view.tolist() == [[0, 1, 2], [3, 4, 5]]
    writable = memoryview(client.zeros(3, dtype=tb.uint8))
    writable[1] = 7
    assert bytes(writable) == b"\x00\x07\x00"
    assert memoryview(client.zeros(2, 2).t()).strides == (4, 8)


def test_array_protocol(client: tb.Client) -> None:
    tensor = client.put("x", [1, 2])
    assert np.array(tensor, dtype=np.float32).dtype == np.float32
    assert np.array(tensor, copy=True).flags.writeable
    with pytest.raises(ValueError, match=r"avoid copy|copy=False forbids"):
        np.array(tensor, dtype=np.float32, copy=False)
    assert np.add(tensor, 1).tolist() == [2, 3]
    interface = tensor.__array_interface__
    assert interface["data"] == (tensor.data_ptr(), True)
    assert (interface["typestr"], interface["shape"], interface["version"]) == ("<i8", (2,), 3)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2)], ids=str)
def test_no_dimension_and_no_element(client: tb.Client, shape: tuple[int, ...]) -> None:
    for tensor in (
        client.put("x", np.zeros(shape)),
        client.zeros(shape, dtype=tb.float64),
        tb.from_numpy(np.zeros(shape)),
    ):
        assert tensor.numpy().shape == shape
        assert tensor.torch().shape == shape
        assert np.asarray(tensor).shape == shape
        assert torch.from_dlpack(tensor).shape == shape
        assert memoryview(tensor).shape == shape


def test_release_from_another_thread_and_at_exit(client: tb.Client) -> None:
    """Capsules that outlive Python are given up without it."""
    client.put("x", [1.0] * 100000)
    code = """
import threading, tensorbroker as tb, torch
tensor = tb.get("x")
kept = [tensor.torch(), tensor.numpy(), tensor.__dlpack__(), memoryview(tensor)]
thread = threading.Thread(target=lambda: tensor.release())
thread.start(); thread.join()
torch.kept = kept
print(kept[0].sum().item())
"""
    assert run(code) == "100000.0\n"


def test_put_of_a_view_of_itself(client: tb.Client) -> None:
    tensor = client.put("x", np.arange(6))
    assert client.put("x", tensor[1:4]).tolist() == [1, 2, 3]
    assert client.put("x", client.get("x").numpy()[::-1]).tolist() == [3, 2, 1]

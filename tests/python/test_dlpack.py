"""DLPack in and out: capsules, arguments, flags, what is refused, and the same bytes everywhere."""

import gc
import threading
import weakref
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tensorbroker as tb
import torch

MAPPED = 1 << 14  # float64: a sealed tensor of so many is given out over private pages, a smaller one as a copy


class Producer:
    """An array of another library, which says what it was asked."""

    def __init__(self, array: Any, device: tuple[int, int] = (1, 0)) -> None:
        """Stand for `array`."""
        self.array = array
        self.device = device
        self.asked: dict[str, Any] = {}

    def __dlpack__(self, **arguments: Any) -> Any:
        """Give the array's capsule."""
        self.asked = arguments
        return self.array.__dlpack__(**arguments)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return where it is said to lie."""
        return self.device


class OldProducer:
    """A producer from before DLPack 1.0: it knows no arguments."""

    def __init__(self, array: Any) -> None:
        """Stand for `array`."""
        self.array = array

    def __dlpack__(self, stream: None = None) -> Any:
        """Give the array's legacy capsule."""
        return self.array.__dlpack__()


# ---------------------------------------------------------------- out


@pytest.mark.parametrize(
    ("max_version", "versioned"), [(None, False), ((0, 8), False), ((1, 0), True), ((1, 3), True), ((2, 0), True)]
)
def test_the_consumer_says_what_it_can_read(client: tb.Client, max_version: Any, versioned: bool) -> None:
    for tensor in (client.zeros(3), client.put("x", [1.0]), tb.from_numpy(np.zeros(2))):
        name = "dltensor_versioned" if versioned else "dltensor"
        assert f'"{name}"' in repr(tensor.__dlpack__(max_version=max_version))


def test_the_device_is_the_cpu(client: tb.Client) -> None:
    tensor = client.zeros(3)
    assert tensor.__dlpack_device__() == (1, 0)
    tensor.__dlpack__(dl_device=(1, 0))
    tensor.__dlpack__(dl_device=torch.zeros(1).__dlpack_device__())  # an IntEnum
    with pytest.raises(BufferError, match="memory of the CPU, not on a device of DLPack's type 2"):
        tensor.__dlpack__(dl_device=(2, 0))
    assert np.from_dlpack(tensor, device="cpu").ctypes.data == tensor.data_ptr()
    assert torch.from_dlpack(tensor, device="cpu").data_ptr() == tensor.data_ptr()


def test_there_are_no_streams_on_the_cpu(client: tb.Client) -> None:
    tensor = client.zeros(3)
    tensor.__dlpack__(stream=None)
    tensor.__dlpack__(stream=-1)  # "do not synchronize"
    for stream in (0, 1, 5, "legacy"):
        with pytest.raises(BufferError, match="stream must be None"):
            tensor.__dlpack__(stream=stream)


@pytest.mark.parametrize(
    "arguments",
    [{"max_version": 1}, {"max_version": ()}, {"max_version": ("1", 0)}, {"dl_device": 1}, {"dl_device": (1,)}]
    + [{"dl_device": ("cpu", 0)}, {"copy": "no"}, {"copy": 1}],
    ids=str,
)
def test_wrong_arguments(client: tb.Client, arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=rf"{next(iter(arguments))} must be .* or None, not "):
        client.zeros(3).__dlpack__(**arguments)
    with pytest.raises(TypeError):
        client.zeros(3).__dlpack__(None)


def test_a_copy_is_ones_own(client: tb.Client) -> None:
    sealed, mutable = client.put("x", np.arange(4.0)), client.zeros(4)
    for tensor in (sealed, mutable, client.zeros(4, name="m"), client.get("m"), tb.from_numpy(np.arange(4.0))):
        before = tensor.tolist()
        for copy in (np.from_dlpack(tensor, copy=True), torch.from_dlpack(tensor, copy=True)):
            assert copy.tolist() == before
            copy[0] = 70
        assert tensor.tolist() == before


def test_without_a_copy_or_not_at_all(client: tb.Client) -> None:
    mutable, large, small = client.zeros(3), client.put("large", np.zeros(MAPPED)), client.put("small", [1.0])
    assert np.from_dlpack(mutable, copy=False).ctypes.data == mutable.data_ptr()
    assert np.from_dlpack(large, copy=False)[5] == 0
    with pytest.raises(BufferError, match="copy=False forbids"):
        small.__dlpack__(copy=False)
    small.__dlpack__()


def test_numpy_keeps_the_read_only_flag(client: tb.Client) -> None:
    for tensor in (client.put("large", np.arange(MAPPED * 1.0)), client.put("small", [0.0, 1.0])):
        array = np.from_dlpack(tensor)
        assert array[1] == 1 and not array.flags.writeable
    assert np.from_dlpack(client.zeros(3)).flags.writeable


def test_a_mutable_tensor_that_was_opened_to_read(client: tb.Client) -> None:
    client.zeros(3, name="m")
    with pytest.raises(BufferError, match=r'open it with mode "r\+" to share its memory or "c" for private pages'):
        client.get("m").__dlpack__()
    with pytest.raises(tb.ReadOnlyError, match=r'mode "r\+"'):
        client.get("m").torch()
    assert torch.from_dlpack(client.open("m", "c")).tolist() == [0, 0, 0]


def test_constant_memory(client: tb.Client) -> None:
    array = np.arange(3.0)
    array.flags.writeable = False
    with pytest.raises(BufferError, match=r"view of constant memory.*call \.clone\(\)"):
        tb.from_numpy(array).__dlpack__()
    assert torch.from_dlpack(tb.from_numpy(array).clone()).tolist() == [0, 1, 2]


def test_a_released_tensor(client: tb.Client) -> None:
    tensor = client.zeros(3)
    tensor.release()
    for attempt in (tensor.__dlpack__, tensor.__dlpack_device__, tensor.torch):
        with pytest.raises(tb.ClosedError):
            attempt()


def test_a_capsule_is_taken_once(client: tb.Client) -> None:
    capsule = client.zeros(3).__dlpack__()
    taken = torch.from_dlpack(capsule)
    assert '"used_dltensor"' in repr(capsule)
    with pytest.raises(TypeError, match="expected a DLPack capsule that nobody took yet"):
        tb.from_dlpack(capsule)
    assert taken.tolist() == [0, 0, 0]


# ---------------------------------------------------------------- in


def test_from_dlpack_is_the_same_memory(client: tb.Client) -> None:
    source = torch.arange(6.0).reshape(2, 3).t()
    tensor = tb.from_dlpack(source)
    assert tensor.data_ptr() == source.data_ptr() and tensor.stride() == source.stride()
    tensor[0, 1] = 50
    assert source[0, 1] == 50


def test_from_dlpack_of_a_tensor_of_our_own(client: tb.Client) -> None:
    for tensor in (client.put("x", np.arange(6.0).reshape(2, 3)), client.zeros(2, 3)):
        same = tb.from_dlpack(tensor.t())
        assert (same.data_ptr(), same.version, same.stride()) == (tensor.data_ptr(), tensor.version, (1, 3))
        assert tb.from_dlpack(tensor, copy=True).data_ptr() != tensor.data_ptr()


def test_from_dlpack_of_capsules() -> None:
    source = torch.arange(3)
    for capsule in (source.__dlpack__(), source.__dlpack__(max_version=(1, 0))):
        assert tb.from_dlpack(capsule).data_ptr() == source.data_ptr()


def test_producers_from_before_dlpack_1() -> None:
    source = np.arange(3)
    assert tb.from_dlpack(OldProducer(source)).data_ptr() == source.ctypes.data
    copy = tb.from_dlpack(OldProducer(source), copy=True)
    assert copy.tolist() == [0, 1, 2] and copy.data_ptr() != source.ctypes.data


def test_read_only_arrays_stay_so() -> None:
    array = np.arange(3)
    array.flags.writeable = False
    tensor = tb.from_dlpack(array)
    assert tensor.data_ptr() == array.ctypes.data
    with pytest.raises(tb.ReadOnlyError, match="constant memory"):
        tensor[0] = 1
    copy = tb.from_dlpack(array, copy=True)
    copy[0] = 7
    assert array[0] == 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn"])
def test_jax_arrays_never_change(jax: ModuleType, dtype: str) -> None:
    array = jax.numpy.zeros(64, dtype)
    tensor = tb.from_dlpack(array)
    assert tensor.data_ptr() == array.unsafe_buffer_pointer()
    with pytest.raises(tb.ReadOnlyError):
        tensor[0] = 1
    copy = tb.from_dlpack(array, copy=True)
    copy[0] = 2
    assert array[0] == 0


def test_what_the_producer_is_asked() -> None:
    producer = Producer(np.arange(3))
    tb.from_dlpack(producer)
    assert producer.asked == {"max_version": (1, 1)}
    tb.from_dlpack(producer, copy=False, device="cpu")
    assert producer.asked == {"max_version": (1, 1), "copy": False}
    elsewhere = Producer(np.arange(3), device=(2, 0))
    tb.from_dlpack(elsewhere, device="cpu")
    assert elsewhere.asked == {"max_version": (1, 1), "dl_device": (1, 0)}
    with pytest.raises(ValueError, match=r'device must be None or "cpu", not \'cuda\''):
        tb.from_dlpack(producer, device="cuda")


def test_negative_strides_are_refused_or_copied(client: tb.Client) -> None:
    backwards = np.arange(6)[::-1]
    with pytest.raises(ValueError, match=r"strides \[-1\] hold a negative one.*copy the elements first"):
        tb.from_dlpack(backwards)
    assert tb.from_dlpack(backwards, copy=True).tolist() == [5, 4, 3, 2, 1, 0]
    assert client.put("x", backwards).tolist() == [5, 4, 3, 2, 1, 0]
    assert tb.from_dlpack(np.arange(6)[:1][::-1]).tolist() == [0]  # nobody steps over it


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_what_gives_no_capsule() -> None:
    for thing in (3, [1, 2], "text", None):
        with pytest.raises(TypeError, match="expected an object with __dlpack__ or a DLPack capsule"):
            tb.from_dlpack(thing)
    with pytest.raises(TypeError, match="expected a DLPack capsule that nobody took yet, not 5"):
        tb.from_dlpack(Producer(type("Five", (), {"__dlpack__": lambda self, **_: 5})()))
    with pytest.raises(TypeError, match="DLPack type code 5 of 32 bits in 1 lanes is not a dtype of tensors"):
        tb.from_dlpack(torch.zeros(3, dtype=torch.complex32))


def test_what_the_producer_raises_comes_through() -> None:
    with pytest.raises(BufferError, match="require gradient"):
        tb.from_dlpack(torch.zeros(3, requires_grad=True))
    array = np.zeros(3, ml_dtypes.bfloat16)
    with pytest.raises(BufferError):
        tb.from_dlpack(array)  # NumPy's DLPack does not know it; tb.from_numpy does


def test_put_takes_what_has_nothing_else(client: tb.Client) -> None:
    assert client.put("x", Producer(np.arange(3))).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="negative one"):
        client.put("x", Producer(np.arange(3)[::-1]))


# ---------------------------------------------------------------- lifetimes


def test_the_source_lives_as_long_as_a_view() -> None:
    for make in (lambda a: a, Producer, OldProducer):
        array = np.arange(6)
        alive = weakref.ref(array)
        tensor = tb.from_dlpack(make(array))[2:]
        del array
        gc.collect()
        assert alive() is not None and tensor.tolist() == [2, 3, 4, 5]
        thread = threading.Thread(target=tensor.release)  # the deleter runs on a thread without the GIL
        thread.start()
        thread.join()
        gc.collect()
        assert alive() is None


def test_refused_arrays_are_let_go() -> None:
    array = np.arange(6)[::-1]
    alive = weakref.ref(array)
    with pytest.raises(ValueError):
        tb.from_dlpack(array)
    del array
    gc.collect()
    assert alive() is None

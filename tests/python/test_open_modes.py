"""open(): np.memmap's modes, by name and by handle."""

import numpy as np
import pytest
import tensorbroker as tb
from support import run


def test_read_is_the_default(client: tb.Client) -> None:
    client.put("x", [1, 2])
    assert client.open("x").sealed
    assert client.open("x", "r").tolist() == [1, 2]


def test_sealed_cannot_be_opened_for_writing(client: tb.Client) -> None:
    client.put("x", [1, 2])
    with pytest.raises(tb.ReadOnlyError, match="sealed"):
        client.open("x", "r+")


@pytest.mark.parametrize("size", [2, 1 << 17])  # copied, and mapped
def test_private_copies(client: tb.Client, size: int) -> None:
    client.put("x", np.zeros(size))
    first, second = client.open("x", "c"), client.open("x", "c")
    first.numpy()[1] = 5
    assert first[1].item() == 5
    assert second[1].item() == 0
    assert client.get("x")[1].item() == 0
    assert first.torch().data_ptr() == first.data_ptr()


def test_mutable(client: tb.Client) -> None:
    mine = client.zeros(3, name="x")
    writer, reader, private = client.open("x", "r+"), client.open("x"), client.open("x", "c")
    writer[1] = 5
    assert mine.tolist() == reader.tolist() == client.get("x").tolist() == [0, 5, 0]
    assert private.tolist() == [0, 0, 0]
    with pytest.raises(tb.ReadOnlyError, match=r"opened \"r\"; open it \"r\+\""):
        reader[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        reader.numpy()[0] = 1
    with pytest.raises(tb.ReadOnlyError, match=r"\"r\+\" to share its memory or \"c\""):
        reader.torch()
    with pytest.raises(BufferError, match=r"\"r\+\""):
        reader.__dlpack__()
    assert reader.mutable and writer.mutable


def test_by_handle(client: tb.Client) -> None:
    tensor = client.put("x", [1, 2])
    assert tensor.handle.startswith("tb://")
    client.put("x", [3])
    assert client.open(tensor.handle).tolist() == [1, 2]  # replaced, and still held
    code = f"import tensorbroker as tb; print(tb.open({tensor.handle!r}).tolist())"
    assert run(code) == "[1, 2]\n"


def test_a_handle_whose_tensor_is_gone(client: tb.Client) -> None:
    tensor = client.put("x", [1, 2])
    handle = tensor.handle
    client.delete("x")
    tensor.release()
    with pytest.raises(tb.NotFoundError, match="is gone"):
        client.open(handle)


def test_handles_of_another_instance(client: tb.Client) -> None:
    handle = client.put("x", [1]).handle.replace(client.instance, "elsewhere")
    with pytest.raises(tb.NotFoundError, match="is of the instance 'elsewhere'"):
        client.open(handle)


@pytest.mark.parametrize("text", ["tb://", "tb://a/b/c", "tb://default/0123456789abcdef/x.y.r"])
def test_bad_handles(client: tb.Client, text: str) -> None:
    with pytest.raises(ValueError, match="tb://"):
        client.open(text)


def test_bad_mode(client: tb.Client) -> None:
    for mode, error in (("w", ValueError), ("rw", ValueError), (None, TypeError)):
        with pytest.raises(error, match=r"mode must be 'r' \(read\)"):
            client.open("x", mode)

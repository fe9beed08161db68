"""Safetensors files: read straight into pages, written from them, hostile ones refused."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import neighbours
import numpy as np
import pytest
import safetensors
import safetensors.torch
import tensorbroker as tb
import torch
from support import run


def write(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    """Write a file with this header: JSON text, or what json.dumps takes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_load_what_the_library_wrote(client: tb.Client, tmp_path: Path) -> None:
    tensors = {
        "w": torch.randn(30, 40),
        "half": torch.randn(5).half(),
        "brain": torch.randn(3, 2).bfloat16(),
        "ids": torch.arange(7),
        "flags": torch.tensor([True, False, True]),
        "small": torch.randn(9).to(torch.float8_e4m3fn),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "none": torch.ones(0, 4),
        "complex": torch.randn(3, dtype=torch.complex64),
    }
    safetensors.torch.save_file(tensors, tmp_path / "m.safetensors", {"format": "pt", "note": "é"})
    bundle = client.load_safetensors("m", tmp_path / "m.safetensors")
    assert bundle.metadata == {"format": "pt", "note": "é"}
    assert set(bundle) == set(tensors)
    for name, tensor in bundle.torch().items():
        assert tensor.dtype == tensors[name].dtype and tensor.shape == tensors[name].shape
        assert torch.equal(tensor.view(torch.uint8) if tensor.ndim else tensor, view_bytes(tensors[name]))
    assert all(bundle[name].data_ptr() % 64 == 0 for name in bundle)


def view_bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.view(torch.uint8) if tensor.ndim else tensor


@pytest.mark.parametrize(
    "name", [dtype for names in neighbours.GROUPS.values() for dtype in names if dtype != "complex128"]
)
def test_every_dtype_there_and_back(client: tb.Client, tmp_path: Path, name: str) -> None:
    bits = torch.from_numpy(neighbours.sample(name).view(np.uint8))
    written = {"x": bits.view(getattr(torch, name))}
    safetensors.torch.save_file(written, tmp_path / "theirs")
    loaded = client.load_safetensors("m", tmp_path / "theirs")["x"]
    assert loaded.dtype.name == name
    assert torch.equal(loaded.torch().view(torch.uint8), bits)
    client.save_safetensors("m", tmp_path / "ours")
    assert (tmp_path / "ours").stat().st_size == (tmp_path / "theirs").stat().st_size
    read = safetensors.torch.load_file(tmp_path / "ours")["x"]
    assert read.dtype == written["x"].dtype and torch.equal(read.view(torch.uint8), bits)


def test_save_for_the_library_to_read(client: tb.Client, tmp_path: Path) -> None:
    data = {"odd": np.arange(3, dtype=np.uint8), "w": torch.randn(4, 5).t(), "b": torch.ones(2).bfloat16()}
    bundle = client.put("m", data, metadata={"format": "pt"})
    client.save_safetensors("m", tmp_path / "m.safetensors")
    loaded = safetensors.torch.load_file(tmp_path / "m.safetensors")
    for name in data:
        assert torch.equal(loaded[name], bundle.torch()[name])
    with safetensors.safe_open(tmp_path / "m.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_there_and_back_keeps_order_metadata_and_nesting(client: tb.Client, tmp_path: Path) -> None:
    data = {"z": {"w": np.ones(3, np.uint8)}, "a": {1: np.ones((2, 2))}, "rates": (0.1, 0.2), "on": True}
    client.put("m", data, metadata={"step": 5, "tensorbroker": "mine", "deep": {"x": [None, 1.5]}})
    client.save_safetensors("m", tmp_path / "f")
    loaded = client.load_safetensors("copy", tmp_path / "f")
    assert list(loaded) == ["z.w", "a.1"]
    assert loaded.metadata == client.get("m").metadata
    assert loaded.nested()["rates"] == (0.1, 0.2) and loaded.nested()["a"][1].tolist() == [[1, 1], [1, 1]]
    with safetensors.safe_open(tmp_path / "f", "np") as file:
        assert file.metadata()["step"] == "5"


def test_a_tensor_is_saved_under_its_name(client: tb.Client, tmp_path: Path) -> None:
    client.put("dir/x", [1, 2, 3])
    client.save_safetensors("dir/x", str(tmp_path / "f"))
    assert safetensors.torch.load_file(tmp_path / "f")["dir/x"].tolist() == [1, 2, 3]


def test_module_functions_and_options(client: tb.Client, tmp_path: Path) -> None:
    tb.put("m", {"x": [1]})
    tb.save_safetensors("m", os.fsencode(tmp_path / "f"))
    assert tb.load_safetensors("n", tmp_path / "f", metadata={"own": 1}).metadata == {"own": 1}
    with pytest.raises(tb.ExistsError):
        tb.load_safetensors("n", tmp_path / "f", overwrite=False)
    tb.put("empty", {})
    tb.save_safetensors("empty", tmp_path / "e")
    assert len(tb.load_safetensors("empty2", tmp_path / "e")) == 0


def test_another_process_reads_the_same_pages(client: tb.Client, tmp_path: Path) -> None:
    safetensors.torch.save_file({"x": torch.arange(100_000)}, tmp_path / "f")
    client.load_safetensors("m", tmp_path / "f")
    assert run("import tensorbroker as tb; print(tb.get('m')['x'].numpy().sum())") == "4999950000\n"


def test_saving_replaces_the_file_when_it_is_whole(client: tb.Client, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("before")
    client.put("no", np.ones(2, np.complex128))
    with pytest.raises(TypeError, match="the dtype complex128 of 'no' has no name in safetensors files"):
        client.save_safetensors("no", path)
    assert path.read_text() == "before"
    client.put("yes", [1])
    client.save_safetensors("yes", path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_files_that_cannot_be_opened(client: tb.Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent") as caught:
        client.load_safetensors("m", tmp_path / "absent")
    assert caught.value.filename == str(tmp_path / "absent")
    with pytest.raises(ValueError, match="it is no regular file"):
        client.load_safetensors("m", tmp_path)
    client.put("m", [1])
    with pytest.raises(FileNotFoundError):
        client.save_safetensors("m", tmp_path / "absent" / "f")
    with pytest.raises(IsADirectoryError):
        client.save_safetensors("m", tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(tb.NotFoundError):
        client.save_safetensors("absent", tmp_path / "f")
    with pytest.raises(TypeError):
        client.load_safetensors("m", 5)


X = entry("F32", [2], 0, 8)
HOSTILE = {
    "no length": (b"", b"", "fewer than 8"),
    "length beyond the file": ({}, b"", 10**6, "its header would be 1000000 bytes long, the file 10"),
    "length beyond all files": (
        {},
        b"",
        2**64 - 1,
        "its header would be 18446744073709551615 bytes long; the most are",
    ),
    "no JSON": (b"{not json", b"", "its header is no JSON at byte"),
    "trailing JSON": (b"{}{}", b"", "its header is no JSON at byte"),
    "no object": (b"[1, 2]", b"", "does not begin with '{'"),
    "not UTF-8": (b'{"\xff": 1}', b"", "its header is no JSON"),
    "deep JSON": (b'{"x": {"dtype": ' + b"[" * 100_000, b"", "an array stands where 'dtype' is described"),
    "deep metadata": (b'{"__metadata__": ' + b'{"a": ' * 100_000, b"", "an object stands where 'a' is described"),
    "number for a tensor": ({"x": 5}, b"", "5 stands where 'x' is described"),
    "repeated name": (b'{"x": %b, "x": %b}' % ((json.dumps(X).encode(),) * 2), bytes(8), "the name 'x' occurs twice"),
    "repeated field": (b'{"x": {"dtype": "F32", "dtype": "F32"}}', b"", "the name 'dtype' occurs twice"),
    "unknown field": ({"x": {**X, "order": "F"}}, bytes(8), "'x' has a field 'order'"),
    "missing field": (
        {"x": {"dtype": "F32", "shape": [2]}},
        bytes(8),
        "'x' lacks one of dtype, shape and data_offsets",
    ),
    "unknown dtype": ({"x": entry("F4", [2], 0, 1)}, bytes(1), "the dtype 'F4' of 'x' is none that tensors have"),
    "negative size": ({"x": entry("F32", [-2], 0, 8)}, bytes(8), "-2 stands where 'shape' is described"),
    "fraction": ({"x": entry("F32", [2.0], 0, 8)}, bytes(8), "2.0 stands where 'shape' is described"),
    "overflowing size": ({"x": entry("F32", [2**62, 2**62], 0, 8)}, bytes(8), "the shape of 'x'"),
    "overflowing number": (b'{"x": {"shape": [99999999999999999999]}}', b"", "99999999999999999999 stands where"),
    "too many dimensions": ({"x": entry("U8", [1] * 65, 0, 1)}, bytes(1), "65|64"),
    "offsets backwards": ({"x": entry("F32", [2], 8, 0)}, bytes(8), "the data_offsets 8 and 0 of 'x' do not hold"),
    "offsets too short": ({"x": entry("F32", [2], 0, 7)}, bytes(7), "do not hold its 8 bytes"),
    "one offset": ({"x": {**X, "data_offsets": [0]}}, bytes(8), "data_offsets of 'x' are not two"),
    "three offsets": ({"x": {**X, "data_offsets": [0, 8, 9]}}, bytes(8), "9 stands where 'data_offsets' is described"),
    "beyond the file": ({"x": X}, bytes(7), "it holds 7 bytes of data, and its tensors 8"),
    "bytes left over": ({"x": X}, bytes(9), "it holds 9 bytes of data, and its tensors 8"),
    "hole": ({"x": X, "y": entry("F32", [2], 9, 17)}, bytes(17), "of 'y' begin at byte 9, and those before end at 8"),
    "overlap": (
        {"x": X, "y": entry("F32", [2], 4, 12)},
        bytes(12),
        "of 'y' begin at byte 4, and those before end at 8",
    ),
    "empty name": ({"": X}, bytes(8), "name"),
    "long name": ({"n" * 256: X}, bytes(8), "255"),
    "metadata of numbers": ({"__metadata__": {"a": 1}}, b"", "1 stands where 'a' is described"),
    "metadata too large": ({"__metadata__": {"a": "x" * 70_000}}, b"", "at most 65536 fit"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files(client: tb.Client, tmp_path: Path, case: str) -> None:
    header, data, *length, message = HOSTILE[case]
    path = tmp_path / "f"
    if case == "no length":
        path.write_bytes(b"1234567")
    else:
        write(path, header, data, *length)
    used = client.stats()["used"]
    with pytest.raises(ValueError, match=message):
        client.load_safetensors("m", path)
    assert not client.exists("m")
    assert client.stats()["used"] == used


def test_padding_and_tensors_without_elements(client: tb.Client, tmp_path: Path) -> None:
    header = {"a": entry("F32", [0], 0, 0), "x": X, "b": entry("I8", [3, 0], 8, 8)}
    write(tmp_path / "f", json.dumps(header).encode() + b" " * 50, bytes(8))
    bundle = client.load_safetensors("m", tmp_path / "f")
    assert [tuple(t.shape) for t in bundle.values()] == [(0,), (2,), (3, 0)]


def test_saving_follows_links_and_keeps_the_mode(client: tb.Client, tmp_path: Path) -> None:
    client.put("m", {"a": [1.0]})
    target, link = tmp_path / "file", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    client.save_safetensors("m", link)
    assert link.is_symlink() and safetensors.torch.load_file(target)["a"].tolist() == [1]
    assert target.stat().st_mode & 0o777 == 0o640


def test_only_regular_files_are_replaced(client: tb.Client, tmp_path: Path) -> None:
    client.put("m", {"a": [1.0]})
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(OSError, match=r"Is a directory|Invalid argument"):
            client.save_safetensors("m", path)
    assert (tmp_path / "pipe").is_fifo() and [p.name for p in tmp_path.iterdir()] == ["pipe"]

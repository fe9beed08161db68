"""The bytes of each version: a function of its name and number, so that any process can tell a torn or changed one."""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES = (0, 1, 64, 512, 9_000, 70_000, 130_000, 700_000)  # of 8 bytes each


def array_of(name: str, sequence: int) -> NDArray[np.uint64]:
    """Return the elements of one version."""
    seed = zlib.crc32(f"{name}/{sequence}".encode())
    return np.arange(SIZES[seed % len(SIZES)], dtype=np.uint64) * np.uint64(seed | 1) + np.uint64(seed)


def metadata_of(name: str, sequence: int) -> dict[str, Any]:
    """Return the metadata of one version."""
    return {"name": name, "sequence": sequence}


def flaw(name: str, metadata: dict[str, Any], elements: NDArray[np.uint64]) -> str | None:
    """Return what is wrong with what was read under a name; None where it is whole."""
    if metadata.get("name") != name:
        return f"{name} has the metadata {metadata}"
    version = f"{name}, version number {metadata['sequence']}"
    wanted = array_of(name, metadata["sequence"])
    if elements.shape != wanted.shape:
        return f"{version}, has {elements.size} elements, and was put with {wanted.size}"
    wrong = np.flatnonzero(elements != wanted)
    if wrong.size == 0:
        return None
    some = wrong[:4]
    return (
        f"{version}: {wrong.size} of {wanted.size} elements are not as they were put, from {wrong[0]} to {wrong[-1]}: "
        f"{elements[some].tolist()} instead of {wanted[some].tolist()}"
    )

"""safetensors files in memory: written as a whole, and mapped by each reader."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from safetensors import safe_open
from safetensors.numpy import save_file
from workload import Peer, run


class Files(Peer):
    """One file an array."""

    def __init__(self, folder: str) -> None:
        """Write into that folder."""
        self._folder = folder

    def put(self, name: str, array: Any) -> str:
        """Write a file."""
        path = os.path.join(self._folder, name)
        save_file({"array": array}, path)
        return path

    def get(self, key: str) -> Any:
        """Read the file."""
        with safe_open(key, framework="numpy") as file:
            return file.get_tensor("array")

    def free(self, key: str) -> None:
        """Unlink the file."""
        os.unlink(key)


with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
    run(Files(folder))

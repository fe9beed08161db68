"""Arrow's Plasma, a store of sealed objects behind a socket; pyarrow 11 is the last release that has it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from typing import Any

import numpy as np
from workload import Peer, run

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyarrow import plasma

CAPACITY = 3 << 30


class Plasma(Peer):
    """Objects by id, written by one connection and read by another."""

    def __init__(self, socket: str) -> None:
        """Connect a writer and a reader."""
        self._writer = plasma.connect(socket)
        self._reader = plasma.connect(socket)

    def put(self, name: str, array: Any) -> Any:
        """Create, copy and seal."""
        key = plasma.ObjectID.from_random()
        np.frombuffer(self._writer.create(key, array.nbytes), dtype=np.float32)[:] = array
        self._writer.seal(key)
        return key

    def get(self, key: Any) -> Any:
        """Ask the store."""
        (buffer,) = self._reader.get_buffers([key])
        return np.frombuffer(buffer, dtype=np.float32)

    def free(self, key: Any) -> None:
        """Delete."""
        self._writer.delete([key])


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "plasma.sock")
    command = [os.path.join(os.path.dirname(sys.executable), "plasma_store"), "-m", str(CAPACITY), "-s", path]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as store:
        try:
            for _ in range(100):
                if os.path.exists(path):
                    break
                time.sleep(0.1)
            run(Plasma(path))
        finally:
            store.kill()

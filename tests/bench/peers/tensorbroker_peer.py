"""This project in the peers' workload."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import tensorbroker as tb
from workload import Peer, run


class Tensorbroker(Peer):
    """Sealed tensors by name."""

    def __init__(self, client: tb.Client) -> None:
        """Work with that client."""
        self._client = client

    def put(self, name: str, array: Any) -> str:
        """Publish."""
        self._client.put(name, array)
        return name

    def get(self, key: str) -> Any:
        """Look the name up."""
        return self._client.get(key).numpy()

    def free(self, key: str) -> None:
        """Delete the name."""
        self._client.delete(key)


with tempfile.TemporaryDirectory(prefix="tensorbroker-bench-") as runtime_dir:
    client = tb.connect(f"peer-{os.getpid()}", runtime_dir=runtime_dir, capacity="3GiB")
    broker = client.stats()["broker_pid"]
    try:
        run(Tensorbroker(client))
    finally:
        client.close()
        os.kill(broker, 15)

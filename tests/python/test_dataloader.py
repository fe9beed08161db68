"""torch's DataLoader with workers, over tensors that its dataset holds or gets."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
import pytest
import tensorbroker as tb
import torch
from support import LIMIT, expect_within
from torch.utils.data import DataLoader, Dataset

ROWS, WIDTH = 12, 9_000  # more than 64 KiB: sealed rows lie in copy-on-write pages


class Holding(Dataset[Any]):
    """Rows of a tensor that every worker receives with the dataset."""

    def __init__(self, rows: tb.Tensor) -> None:
        """Hold it."""
        self.rows = rows

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        """Return a row."""
        return self.rows[index].torch()


class OfBundle(Dataset[Any]):
    """Samples and labels of a bundle."""

    def __init__(self, data: tb.Bundle) -> None:
        """Hold it."""
        self.data = data

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.data["y"])

    def __getitem__(self, index: int) -> Any:
        """Return a sample as a mapping."""
        return {"x": self.data["x"][index].torch(), "y": self.data["y"][index].item()}


class Getting(Dataset[Any]):
    """Rows of what a name denotes when a worker looks."""

    def __len__(self) -> int:
        """Count the rows."""
        return ROWS

    def __getitem__(self, index: int) -> Any:
        """Return a row."""
        return tb.get("x")[index].torch()


def rows() -> np.ndarray[Any, Any]:
    """Make rows that are their number throughout."""
    return np.repeat(np.arange(ROWS, dtype=np.float32), WIDTH).reshape(ROWS, WIDTH)


def dataset(kind: str, client: tb.Client) -> Dataset[Any]:
    """Publish the rows and make a dataset of them."""
    if kind == "bundle":
        return OfBundle(client.put("x", {"x": rows(), "y": np.arange(ROWS)}))
    sealed = client.put("x", rows())
    return Holding(sealed) if kind == "sealed" else Getting()


@contextmanager
def loader_of(data: Dataset[Any], context: BaseContext, **options: Any) -> Iterator[DataLoader[Any]]:
    """Make a loader with two workers, and end them."""
    loader = DataLoader(data, num_workers=2, multiprocessing_context=context, timeout=LIMIT, **options)
    try:
        yield loader
    finally:
        loader._iterator = None
        del loader
        gc.collect()


@pytest.mark.parametrize("kind", ["sealed", "bundle", "getting"])
def test_every_row_once_in_every_epoch(client: tb.Client, context: BaseContext, kind: str) -> None:
    sessions = client.stats()["sessions"]
    data = dataset(kind, client)
    with loader_of(data, context, batch_size=4, shuffle=True, persistent_workers=True) as loader:
        for _ in range(2):
            seen: list[float] = []
            for batch in loader:
                values = batch["x"] if kind == "bundle" else batch
                assert values.shape == (4, WIDTH)
                assert torch.equal(values.min(1).values, values.max(1).values)
                if kind == "bundle":
                    assert values[:, 0].tolist() == batch["y"].tolist()
                seen += values[:, 0].tolist()
            assert sorted(seen) == list(range(ROWS))
        del batch, values
    del loader, data
    gc.collect()
    client.delete("x")
    expect_within(LIMIT, lambda: client.stats()["sessions"], sessions)
    expect_within(LIMIT, lambda: client.stats()["retired"], 0)  # no lease is left


def test_without_collation_mutable_rows_are_the_same_pages(client: tb.Client, context: BaseContext) -> None:
    mine = client.tensor(rows())
    with loader_of(Holding(mine), context, batch_size=None) as loader:
        for index, row in enumerate(loader):
            assert row.data_ptr() == mine[index].data_ptr()
            row.fill_(100)
        del row
    assert mine.numpy().min() == 100
    del loader

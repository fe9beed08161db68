"""Drafts: written in place, published by hand or at the end of a block."""

import numpy as np
import pytest
import tensorbroker as tb
from support import run


def test_with_block_publishes(client: tb.Client) -> None:
    with client.create("x", (2, 3), tb.int32, metadata={"step": 1}) as draft:
        draft.numpy()[...] = np.arange(6).reshape(2, 3)
        assert not client.exists("x")
        assert (draft.name, draft.version, draft.sealed, draft.mutable) == ("x", 0, False, False)
    assert draft.sealed and draft.version == client.get("x").version
    assert draft.tolist() == client.get("x").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert client.get("x").metadata == {"step": 1}
    assert run("import tensorbroker as tb; print(tb.get('x').tolist())") == "[[0, 1, 2], [3, 4, 5]]\n"


def test_float32_is_the_default(client: tb.Client) -> None:
    with client.create("x", 3) as draft:
        draft[:] = 1.5
    assert client.get("x").dtype is tb.float32


def test_publish_by_hand(client: tb.Client) -> None:
    draft = client.create("x", (2,), "int64")
    draft[:] = 7
    draft.publish()
    assert client.get("x").tolist() == [7, 7]
    with pytest.raises(RuntimeError, match=r"publish\(\) is for what create\(\) returned, and once"):
        draft.publish()
    with pytest.raises(tb.ReadOnlyError, match="sealed"):
        draft[0] = 1


def test_an_exception_discards(client: tb.Client) -> None:
    with pytest.raises(ZeroDivisionError), client.create("x", 2) as draft:
        draft[:] = 1 / 0
    assert not client.exists("x")
    with pytest.raises(tb.ClosedError, match="was discarded"):
        draft.numpy()


def test_discard_gives_the_memory_back(client: tb.Client) -> None:
    used = client.stats()["used"]
    for _ in range(100):
        client.create("x", (1 << 20,), tb.uint8).discard()
    assert client.stats()["used"] - used <= 2 << 20


def test_arrays_over_a_discarded_draft_are_nobodys(client: tb.Client) -> None:
    """An array that an exception's traceback keeps never points into a later tensor."""
    draft = client.create("x", (1 << 16,), tb.uint8)
    array = draft.numpy()
    draft.discard()
    later = client.put("y", np.zeros(1 << 16, np.uint8))
    array[:] = 1
    assert not later.numpy().any()


def test_a_view_is_not_published_by_itself(client: tb.Client) -> None:
    draft = client.create("x", (2, 2))
    with pytest.raises(RuntimeError, match="is a view of a draft"):
        draft[0].publish()
    with pytest.raises(RuntimeError, match="is a view of a draft"):
        draft[0].discard()
    draft.discard()


def test_drafts_are_in_no_listing(client: tb.Client) -> None:
    used = client.stats()["used"]
    draft = client.create("x", (1 << 24,), tb.uint8)
    assert list(client) == []
    assert client.stats()["used"] - used >= 1 << 24 or client.stats()["used"] >= 1 << 24
    draft.discard()


def test_two_drafts_of_one_name(client: tb.Client) -> None:
    first, second = client.create("x", 1), client.create("x", 1)
    first[:] = 1
    second[:] = 2
    second.publish()
    first.publish()
    assert client.get("x").item() == 1
    assert first.version > second.version


def test_no_overwrite(client: tb.Client) -> None:
    with pytest.raises(tb.ExistsError), client.create("x", 1, overwrite=False) as draft:
        draft[:] = 1
        client.put("x", [5])
    assert client.get("x").tolist() == [5]
    with pytest.raises(tb.ClosedError, match="was discarded"):
        draft.publish()


def test_what_the_block_ended_itself(client: tb.Client) -> None:
    with client.create("a", 1) as draft:
        draft[:] = 1
        draft.publish()
    assert client.get("a").item() == 1
    with client.create("b", 1) as draft:
        draft.discard()
    with client.create("c", 1) as draft:
        draft.release()
    assert list(client) == ["a"]


def test_only_drafts_have_a_block(client: tb.Client) -> None:
    with pytest.raises(RuntimeError, match="is no draft"), client.put("x", [1]):
        pass


def test_zero_size_and_zero_dimensions(client: tb.Client) -> None:
    with client.create("e", (0, 3)):
        pass
    assert client.get("e").shape == (0, 3)
    with client.create("s", ()) as draft:
        draft[()] = 4
    assert client.get("s").item() == 4


def test_read_through_an_array_from_before(client: tb.Client) -> None:
    """A view that was made of the draft reads the published elements."""
    with client.create("x", (300, 300)) as draft:
        draft[:] = 1
        view = draft[10:20]
        view[:] = 2
    assert view.sealed and view.numpy().min() == 2
    assert view.torch().min() == 2 and view.storage_offset() == 3000

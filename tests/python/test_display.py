"""What an IPython shell and a notebook show: text, bounded HTML with everything escaped, completion."""

import builtins
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import tensorbroker as tb
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

HOSTILE = "<script>alert('x')</script>&\"amp"
BOUND = 20_000  # characters


class Page(HTMLParser):
    """The tags and texts of some HTML, which must be closed in order."""

    def __init__(self, html: str) -> None:
        """Parse it."""
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that it ends the last one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.text += data


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    """Give a real IPython shell, without history and files of the user's."""
    patch = pytest.MonkeyPatch()
    patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
    hooks = builtins.__dict__.get("display"), builtins.__dict__.get("get_ipython")
    made = InteractiveShell.instance()
    made.history_manager.enabled = False
    yield made
    made.history_manager.end_session()
    InteractiveShell.clear_instance()
    for name, value in zip(("display", "get_ipython"), hooks):
        builtins.__dict__.pop(name, None) if value is None else builtins.__dict__.update({name: value})
    patch.undo()


def shown(shell: InteractiveShell, value: object) -> tuple[str, Page]:
    """Return the text and the HTML that the shell's formatter makes of a value."""
    data, _ = shell.display_formatter.format(value)
    assert len(data["text/html"]) < BOUND
    return data["text/plain"], Page(data["text/html"])


def completions(shell: InteractiveShell, text: str, **names: Any) -> list[str]:
    """Return what the shell completes the text to."""
    shell.user_ns.update(names)
    try:
        with provisionalcompleter():
            return [found.text for found in shell.Completer.completions(text, len(text))]
    finally:
        for name in names:
            del shell.user_ns[name]


def test_a_tensor(shell: InteractiveShell, client: tb.Client) -> None:
    tensor = client.put("scores", [[1.0, 2.0], [3.0, 4.0]], metadata={"step": 7})
    text, page = shown(shell, tensor)
    assert text == repr(tensor)
    assert repr(tensor) in page.text
    for part in ("scores", "float32", "[2, 2]", "16 bytes", "sealed", '"step": 7'):
        assert part in page.text
    assert "private" in shown(shell, tb.from_numpy(np.zeros(3)))[1].text
    assert "mutable" in shown(shell, client.zeros(3))[1].text


def test_what_was_released_is_shown_as_such(shell: InteractiveShell, client: tb.Client) -> None:
    tensor, bundle = client.put("x", [1]), client.put("b", {"x": [1]})
    tensor.release()
    bundle.release()
    assert shown(shell, tensor)[1].text == "tensor(<released>)"
    assert shown(shell, bundle)[1].text == "Bundle(<released>)"
    assert bundle._ipython_key_completions_() == []


def test_huge_tensors_are_not_read(shell: InteractiveShell, client: tb.Client) -> None:
    """Of 2**40 elements, and of 20 dimensions none of which is long: nobody could read either."""
    huge = client.put("huge", [1.0]).expand(1 << 20, 1 << 20)
    text, page = shown(shell, huge)
    assert "..." in text
    assert "..." in page.text
    short = client.put("many", [1.0]).expand(*[4] * 20)
    page = Page(short._repr_html_())
    assert f"tensor of {4**20:,} elements" in page.text


def test_a_bundle(shell: InteractiveShell, client: tb.Client) -> None:
    members = {f"layer.{i}.weight": np.zeros((2, 3), np.float32) for i in range(300)}
    bundle = client.put("model", members, metadata={"note": "n" * 5000})
    text, page = shown(shell, bundle)
    assert text == repr(bundle)
    assert re.fullmatch(r"Bundle\('model', version=\d+, 300 tensors, \d+ bytes\)", text)
    assert "layer.0.weight" in page.text
    assert "layer.299.weight" in page.text
    assert "layer.150.weight" not in page.text
    assert "260 more" in page.text
    assert page.tags.count("tr") == 1 + 20 + 1 + 20


def test_a_listing(shell: InteractiveShell, client: tb.Client) -> None:
    for i in range(50):
        client.put(f"digits/{i:03}", np.zeros(i, np.int16), metadata={"long": "m" * 1000})
    client.put("model", {"w": [1.0]})
    listing = client.list()
    assert isinstance(listing, list)
    assert type(listing) is tb.Listing
    assert [info.name for info in listing] == list(client)
    text, page = shown(shell, listing)
    assert text.startswith("[Info('digits/000', kind='tensor'")
    assert "digits/049" in page.text
    assert "bundle" in page.text
    assert "11 more" in page.text
    assert Page(client.list("nothing/")._repr_html_()).tags.count("tr") == 1


def test_hostile_names_and_metadata_are_escaped(shell: InteractiveShell, client: tb.Client) -> None:
    metadata = {HOSTILE: [HOSTILE]}
    tensor = client.put(HOSTILE, [1], metadata=metadata)
    bundle = client.put(HOSTILE + "b", {HOSTILE: [1]}, metadata=metadata)
    for value in (tensor, bundle, client.list()):
        _, page = shown(shell, value)
        assert "script" not in page.tags
        assert set(page.tags) <= {"div", "b", "pre", "table", "thead", "tbody", "tr", "th", "td"}
        assert HOSTILE in page.text


def test_reprs_quote_as_python_does(client: tb.Client) -> None:
    name = "it's"
    bundle = client.put(name, {"x": [1]})
    assert repr(bundle).startswith('Bundle("it\'s", ')
    assert repr(client.list()[0]).startswith('Info("it\'s", ')
    assert repr(client) == f"Client({client.instance!r})"


def test_members_of_a_bundle_are_completed(shell: InteractiveShell, client: tb.Client) -> None:
    bundle = client.put("model", {"fc.weight": [1.0], "fc.bias": [1.0], "head": [1.0]})
    assert bundle._ipython_key_completions_() == ["fc.weight", "fc.bias", "head"]
    assert set(completions(shell, 'model["f', model=bundle)) == {"fc.bias", "fc.weight"}


def test_attributes_that_are_completed_are_public(shell: InteractiveShell, client: tb.Client) -> None:
    found = completions(shell, "t.", t=client.put("x", [1]))
    assert ".numpy" in found or "numpy" in found
    assert not [name for name in found if "pybind" in name or name.lstrip(".").startswith("_")]
    for value in (client, client.list()[0], tb.float32, client.put("b", {"x": [1]}), client.get("x")):
        assert not [name for name in dir(value) if "pybind" in name]

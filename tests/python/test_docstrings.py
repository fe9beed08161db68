"""What help() says: every public name has a text, the examples in it run, and the errors that it names exist."""

import builtins
import doctest
import inspect
import pydoc
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorbroker as tb


def public_names() -> list[str]:
    """Return what the package has for its users."""
    return [name for name, value in vars(tb).items() if not name.startswith("_") and not inspect.ismodule(value)]


def functions_of(owner: type) -> Iterator[tuple[str, Any]]:
    """Yield the public functions and properties of one of our classes."""
    for name, member in vars(owner).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, property)):
            yield name, member


def documented() -> dict[str, Any]:
    """Return everything that must have a text, by dotted name; module functions and methods alike."""
    found: dict[str, Any] = {"tensorbroker": tb}
    for name in public_names():
        value = getattr(tb, name)
        if isinstance(value, tb.dtype):
            continue
        found[name] = value
        if inspect.isclass(value) and value.__module__.startswith("tensorbroker"):
            found |= {f"{name}.{member}": function for member, function in functions_of(value)}
    return found


DOCUMENTED = documented()
# A function of the module has the text of the method; each example runs once.
EXAMPLES = {
    name: value
    for name, value in DOCUMENTED.items()
    if ">>>" in (value.__doc__ or "") and not (name in vars(tb.Client) and name in vars(tb))
}
WITH_PARAMETERS = {
    name: value
    for name, value in DOCUMENTED.items()
    if callable(value) and not inspect.isclass(value) and inspect.signature(value).parameters.keys() - {"self"}
}


def test_there_is_something_to_look_at() -> None:
    assert len(DOCUMENTED) > 150
    assert len(EXAMPLES) > 25
    assert len(WITH_PARAMETERS) > 80


def test_every_public_name_has_a_text() -> None:
    for name, value in DOCUMENTED.items():
        text = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__  # and not a base class's
        assert text, name
        assert text[0].isupper() and "." in text, name
        assert "tensorbroker._core" not in text, name
        assert max(map(len, text.splitlines())) <= 120, name


def explains(function: Any, parameter: str) -> bool:
    """Return whether the text has the parameter in backquotes, or under Args."""
    return bool(re.search(rf"`{parameter}`|^ +{parameter}: ", inspect.getdoc(function) or "", re.MULTILINE))


def test_every_parameter_is_explained() -> None:
    missing = [
        (name, parameter)
        for name, function in WITH_PARAMETERS.items()
        for parameter in inspect.signature(function).parameters.keys() - {"self", "args", "kwargs"}
        if not explains(function, parameter)
    ]
    assert missing == []


def raised(text: str) -> list[str]:
    """Return the names under Raises."""
    block = re.search(r"^Raises:\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
    return re.findall(r"^    (\w+): ", block[1], re.MULTILINE) if block else []


def test_the_errors_that_are_named_exist() -> None:
    for value in DOCUMENTED.values():
        text = inspect.getdoc(value) or ""
        for error in [*raised(text), *re.findall(r"\b[A-Z]\w+Error\b", text)]:
            assert issubclass(getattr(tb, error, None) or getattr(builtins, error), Exception)


def test_what_may_ask_the_broker_names_its_errors() -> None:
    for name, method in functions_of(tb.Client):
        if name in ("instance", "closed", "close"):
            continue
        errors = set(raised(inspect.getdoc(method) or ""))
        parameters = inspect.signature(method).parameters.keys() - {"self"}
        assert {"BrokerUnavailableError", "ClosedError"} <= errors, name
        assert "TypeError" in errors or not parameters, name
        if parameters & {"overwrite", "fill_value", "sizes", "size", "data"}:
            assert {"ExistsError", "OutOfMemoryError"} <= errors, name


def test_functions_and_methods_share_one_text() -> None:
    shared = [name for name, _ in functions_of(tb.Client) if name in vars(tb)]
    assert len(shared) > 25
    for name in shared:
        assert getattr(tb, name).__doc__ == getattr(tb.Client, name).__doc__, name


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name: str, client: tb.Client) -> None:
    parser, output = doctest.DocTestParser(), []
    names = {"tb": tb, "np": np, "__name__": "__main__"}
    test = parser.get_doctest(inspect.getdoc(EXAMPLES[name]) or "", names, name, None, 0)
    assert test.examples
    results = doctest.DocTestRunner(verbose=False).run(test, out=output.append)
    assert results.failed == 0, "".join(output)


@pytest.mark.parametrize("name", ["get", "Client", "Tensor", "Bundle"])
def test_help_is_plain(name: str) -> None:
    text = pydoc.render_doc(getattr(tb, name), renderer=pydoc.plaintext)
    assert "arg0" not in text
    assert "capsule" not in text
    assert "-> object" not in text
    assert "self: " not in text
    assert "_pybind11_conduit" not in text
    if name == "get":
        assert "get(name, *, timeout=0.0)" in text
    if name == "Tensor":
        assert "view(self, *size, dtype=None)" in text
        assert "narrow(self, dim, start, length)" in text

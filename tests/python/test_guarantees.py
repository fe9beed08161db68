"""docs/guarantees.md names tests that exist, and for every promise at least one."""

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TESTS = REPOSITORY / "tests"


def known_names() -> set[str]:
    """Return all that a promise may name: C++ tests, ctests, Python files and the tests in them, targets of make."""
    names: set[str] = set()
    for source in TESTS.rglob("*_test.cc"):
        for suite, test in re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", source.read_text(), re.MULTILINE):
            names.add(f"{suite}.{test}")
    mutants = (TESTS / "model/mutants.cmake").read_text()
    names |= {f"Mutant.{name}" for name in re.findall(r"^add_mutant\((\w+)", mutants, re.MULTILINE)}
    targets = (TESTS / "fuzz/CMakeLists.txt").read_text()
    names |= {f"fuzz.replay_{name}" for name in re.findall(r"^add_fuzz_target\((\w+)", targets, re.MULTILINE)}
    for source in (TESTS / "python").glob("test_*.py"):
        names.add(source.name)
        for test in re.findall(r"^(?:async )?def (test_\w+)\(", source.read_text(), re.MULTILINE):
            names.add(f"{source.name}::{test}")
    targets = re.findall(r"^([a-z][\w-]*):(?!=)", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    return names | {f"make {target}" for target in targets}


def promises(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each promise of the page's tables with the tests that it names."""
    for line in page.splitlines():
        if line.startswith("| ") and line != "| promise | test |":
            promise, tests = line.strip("| ").rsplit(" | ", 1)
            yield promise, re.findall(r"`([^`]+)`", tests)


def faults(page: str) -> list[str]:
    """Say what is wrong with the page."""
    known = known_names()
    found = []
    for promise, tests in promises(page):
        if not tests:
            found.append(f"no test: {promise}")
        found += [f"{test}: {promise}" for test in tests if not fnmatch.filter(known, test)]
    return found


def test_every_promise_names_tests_that_are_there() -> None:
    page = (REPOSITORY / "docs/guarantees.md").read_text()
    assert len(list(promises(page))) > 60
    assert faults(page) == []


def test_what_is_not_there_is_seen() -> None:
    right = "| it holds | `Mutant.*`, `make test`, `test_guarantees.py::test_what_*`, `fuzz.replay_header` |"
    assert faults(right) == []
    for wrong in (
        "`Mutant.NoSuch`",
        "`Suite.*`",
        "`make nothing`",
        "`test_none.py`",
        "`test_guarantees.py::test_x`",
        "-",
    ):
        assert faults(f"| it holds | {wrong} |") != [], wrong

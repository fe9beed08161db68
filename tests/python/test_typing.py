"""The types that the package states: those of the built module, and of use to a type checker.

typing/right.py is what users type, typing/wrong.py what shall be refused. The first run of mypy reads all of torch.
"""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tensorbroker as tb
from tensorbroker import _core

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests/python/typing"
LIMIT = 500

pytestmark = pytest.mark.timeout(LIMIT + 20)


def run_tool(*arguments: str) -> str:
    """Run a module on the installed package; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy_errors(program: str) -> list[tuple[int, str]]:
    """Return line and code of each error in a program."""
    output = run_tool(
        "mypy", "--config-file", str(PROGRAMS / "mypy.ini"), "--no-error-summary", str(PROGRAMS / program)
    )
    found = re.findall(rf"{re.escape(program)}:(\d+): error: .*\[([\w-]+)\]$", output, re.MULTILINE)
    assert len(found) == output.count(": error:"), output  # none elsewhere
    return [(int(line), code) for line, code in found]


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(tb.__file__).parent / "py.typed").exists()


def test_the_stubs_are_what_the_built_module_has() -> None:
    config, allowed = str(PROGRAMS / "stubtest.ini"), str(PROGRAMS / "allowlist.txt")
    output = run_tool(
        "mypy.stubtest", "tensorbroker", "--concise", "--mypy-config-file", config, "--allowlist", allowed
    )
    assert re.match(r"Success: no issues found in \d+ modules\n|\Z", output), output


def test_what_users_type_has_no_errors() -> None:
    assert mypy_errors("right.py") == []


def test_what_is_wrong_has_an_error_for_its_reason() -> None:
    lines = (PROGRAMS / "wrong.py").read_text().splitlines()
    expected = [(number, line.split("  # ")[1]) for number, line in enumerate(lines, 1) if "  # " in line]
    assert len(expected) > 40
    assert mypy_errors("wrong.py") == expected


def test_the_functions_of_the_module_take_what_the_methods_take() -> None:
    names = [name for name, value in vars(tb.Client).items() if not name.startswith("_") and callable(value)]
    assert len(names) > 25
    for name in names:
        if name == "close":
            continue
        method, function = inspect.signature(getattr(tb.Client, name)), inspect.signature(getattr(tb, name))
        assert list(method.parameters.values())[1:] == list(function.parameters.values()), name


def test_every_signature_is_pythons() -> None:
    classes = [value for value in vars(_core).values() if inspect.isclass(value) and not issubclass(value, Exception)]
    functions = [value for value in vars(_core).values() if inspect.isbuiltin(value)]
    for owner in classes:
        functions += [value for value in vars(owner).values() if type(value).__name__ == "instancemethod"]
    assert len(functions) > 150
    for function in functions:
        text = str(inspect.signature(function))
        assert ":" not in text, (function, text)
        assert "arg0" not in text or function.__name__.startswith("_"), (function, text)
        assert "->" not in (function.__doc__ or ""), function


def test_no_any_where_a_method_could_say_more() -> None:
    stub = Path(_core.__file__).parent / "_core.pyi"
    for node in ast.walk(ast.parse(stub.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name not in ("tolist", "__jax_array__", "__dlpack__"):
            assert node.returns is None or ast.unparse(node.returns) != "Any", node.name


def test_the_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert tb.__version__ == version("tensorbroker")

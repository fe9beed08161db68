"""Importing the package is cheap in what it brings along."""

import re

import tensorbroker as tb
from support import run

HEAVY = ("torch", "jax", "rich", "pandas", "asyncio", "IPython", "ml_dtypes", "html", "importlib.metadata")
HEAVY += ("numpy.random", "numpy.typing", "pathlib", "secrets", "hashlib", "json")


def test_nothing_heavy_is_imported() -> None:
    """Beyond what NumPy imports."""
    code = f"""
import sys
import numpy
before = set(sys.modules)
import tensorbroker
print(*sorted(set({HEAVY!r}) & (set(sys.modules) - before)), "|", "torch" in sys.modules, "asyncio" in sys.modules)
"""
    assert run(code) == "| False False\n"


def test_torch_is_not_imported_by_putting_and_getting() -> None:
    code = """
import sys
import numpy as np
import tensorbroker as tb
tb.put("x", np.ones(3))
print(tb.get("x").numpy(), "torch" in sys.modules, "ml_dtypes" in sys.modules)
"""
    assert run(code) == "[1. 1. 1.] False False\n"


def test_import_connects_to_nothing() -> None:
    code = """
import os, tensorbroker
print(any("socket:" in os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if fd != "3"))
"""
    assert run(code) == "False\n"


def test_a_star_brings_every_public_name_and_leaves_builtins_alone() -> None:
    code = """
import builtins, types, tensorbroker
before = {name: value for name, value in vars(builtins).items()}
from tensorbroker import *
public = {n for n, v in vars(tensorbroker).items() if n[0] != "_" and not isinstance(v, types.ModuleType)}
print(zeros is tensorbroker.zeros, float32, __version__ == tensorbroker.__version__)
print(sorted(public - set(tensorbroker.__all__)), sorted(set(tensorbroker.__all__) - public))
print([name for name, value in before.items() if globals().get(name, value) is not value and name[0] != "_"])
"""
    assert run(code) == "True torch.float32 True\n['bool', 'float', 'int', 'list', 'open'] ['__version__']\n[]\n"


def test_the_public_names_are_sorted() -> None:
    """Classes first, numbers in names as numbers."""

    def key(name: str) -> tuple[bool, list[str | int]]:
        return not name[0].isupper(), [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]

    assert tb.__all__ == sorted(tb.__all__, key=key)
    assert len(set(tb.__all__)) == len(tb.__all__)


def test_the_timeout_error_is_the_builtin() -> None:
    assert run("import tensorbroker as tb; print(tb.TimeoutError is TimeoutError)") == "True\n"

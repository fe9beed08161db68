"""Importing the package is cheap in what it brings along."""

from support import run


def test_torch_is_not_imported() -> None:
    code = "import sys, tensorbroker; print(*(m in sys.modules for m in ('torch', 'rich', 'ml_dtypes', 'jax')))"
    assert run(code) == "False False False False\n"


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


def test_every_public_name_is_there() -> None:
    code = "from tensorbroker import *; print(zeros, float32, Tensor is not None)"
    assert "float32" in run(code)


def test_the_timeout_error_is_the_builtin() -> None:
    assert run("import tensorbroker as tb; print(tb.TimeoutError is TimeoutError)") == "True\n"

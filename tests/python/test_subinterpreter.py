"""Subinterpreters: refused with what to do instead, and no harm to the main interpreter."""

import sys

import pytest
from support import run

IMPORT_IN_ANOTHER = """
import sys
import _xxsubinterpreters as interpreters
if "before" in sys.argv:
    import tensorbroker
path = sys.path
for _ in range(2):
    other = interpreters.create()
    try:
        interpreters.run_string(other, f"import sys; sys.path[:] = {path}; import tensorbroker")
    except interpreters.RunFailedError as error:
        print(error)
    interpreters.run_string(other, "import json; json.dumps([1])")
    interpreters.destroy(other)
import tensorbroker as tb
tb.put("x", [1, 2])
print(tb.get("x").tolist())
"""


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the module is named otherwise")
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_import_is_refused_and_says_what_to_do(when: str) -> None:
    first, second, last = run(IMPORT_IN_ANOTHER, when).splitlines()
    for line in (first, second):
        assert "ImportError" in line
        assert "works in the main interpreter alone" in line and "concurrent.futures.ProcessPoolExecutor" in line
    assert last == "[1, 2]"

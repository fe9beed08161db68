"""Writes the docstrings of the stub as a C++ table, for the extension to bear: the stub has the only text of each.

    docstrings.py _core.pyi docstrings.inc

A row is the dotted name, the names of the parameters less self (the extension does not name those that go by place
alone), and the text, which may be empty.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

Definition = ast.FunctionDef | ast.ClassDef


def definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Yield every function and class with its dotted name."""
    for node in body:
        if isinstance(node, Definition):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node.body, f"{prefix}{node.name}.")


def parameters(node: Definition) -> list[str]:
    """Return the names of a function's parameters by place, with that of *args behind its star."""
    if isinstance(node, ast.ClassDef):
        return []
    names = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args] if argument.arg != "self"]
    return [*names, *([f"*{node.args.vararg.arg}"] if node.args.vararg else [])]


def row(name: str, node: Definition) -> str:
    """Return the row of one definition."""
    text = inspect.cleandoc(ast.get_docstring(node) or "")
    assert ')doc"' not in text
    return f'{{"{name}", "{" ".join(parameters(node))}", R"doc({text})doc"}},\n'


def main() -> None:
    """Write the table, sorted by name."""
    stub, table = map(Path, sys.argv[1:])
    chosen: dict[str, Definition] = {}
    for name, node in definitions(ast.parse(stub.read_text(encoding="utf-8")).body):
        if name not in chosen:
            chosen[name] = node
        elif ast.get_docstring(node) is not None:
            sys.exit(f"{stub}:{node.lineno}: the docstring belongs to the first overload of {name}")
    rows = {name: row(name, node) for name, node in chosen.items()}
    table.write_text("".join(rows[name] for name in sorted(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Checks that dependencies point one way: proto <- client <- python, proto <- broker, tests and examples on top.

Reads every #include of the C++ sources. Public headers must show neither Boost nor FlatBuffers nor generated code.
With --self-test, plants each violation in a temporary tree and checks that it is caught.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

LAYERS = ("proto", "client", "broker", "python", "tests", "examples")
# What each layer may include, itself aside; tests may include everything.
MAY_INCLUDE: dict[str, set[str]] = {
    "proto": set(),
    "client": {"proto"},
    "broker": {"proto"},
    "python": {"proto", "client"},
    "tests": set(LAYERS),
    "examples": set(),
}
PUBLIC_HEADERS = ("proto/include", "client/include")
HIDDEN_FROM_PUBLIC = re.compile(r"^boost/|^flatbuffers/|_generated\.h$")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)


def layer_of(path: Path, root: Path) -> str:
    """Return the first part of `path` below `root`."""
    return path.relative_to(root).parts[0]


def included_layer(name: str, quoted: bool, includer: Path, root: Path) -> str | None:
    """Return the layer that an #include reaches, or None for the system's headers and the public ones."""
    first = name.split("/", 1)[0]
    if first in LAYERS:
        return first
    if first == "tensorbroker":
        return "client" if (root / "client/include" / name).exists() else "proto"
    if quoted and (target := (includer.parent / name).resolve()).is_relative_to(root) and target.exists():
        return layer_of(target, root)
    return None


def check_file(path: Path, root: Path) -> Iterator[str]:
    """Yield a message for each #include of `path` that its layer must not have."""
    layer = layer_of(path, root)
    where = path.relative_to(root).as_posix()
    public = where.startswith(PUBLIC_HEADERS)
    text = path.read_text(encoding="utf-8")
    for match in INCLUDE.finditer(text):
        name = match[2]
        line = text.count("\n", 0, match.start(2)) + 1
        target = included_layer(name, match[1] == '"', path, root)
        if layer == "examples" and name.startswith("tensorbroker/"):
            continue
        if target is not None and target != layer and target not in MAY_INCLUDE[layer]:
            yield f"{where}:{line}: {layer} must not include {name} ({target})"
        if public and HIDDEN_FROM_PUBLIC.search(name):
            yield f"{where}:{line}: a public header must not show {name}"
        if public and target is not None and not name.startswith("tensorbroker/"):
            yield f"{where}:{line}: a public header must include public headers alone, not {name}"


def check_tree(root: Path) -> tuple[int, list[str]]:
    """Return the number of files under `root` that were read, and all messages."""
    files = [path for layer in LAYERS for path in (root / layer).rglob("*") if path.suffix in {".h", ".cc"}]
    return len(files), [message for path in sorted(files) for message in check_file(path, root)]


def self_test() -> None:
    """Plant each violation, and each thing that is allowed, in a tree of their own."""
    violations = {
        "proto/a.h": ['#include "client/x.h"', '#include "broker/x.h"', "#include <tensorbroker/client.h>"],
        "client/a.cc": ['#include "broker/x.h"', '#include "python/src/x.h"', '#include "../broker/x.h"'],
        "broker/a.cc": ['#include "client/x.h"', "  #  include <tensorbroker/client.h>", '#include "tests/x.h"'],
        "python/src/a.cc": ['#include "broker/x.h"', '#include "tests/x.h"'],
        "examples/digits/a.cc": ['#include "proto/x.h"', '#include "client/x.h"'],
        "proto/include/tensorbroker/a.h": [
            "#include <boost/version.hpp>",
            "#include <flatbuffers/flatbuffers.h>",
            '#include "proto/schema/tensor_generated.h"',
            '#include "proto/x.h"',
        ],
        "client/include/tensorbroker/a.h": ["#include <boost/version.hpp>", '#include "client/x.h"'],
    }
    allowed = {
        "client/a.cc": ['#include "proto/x.h"', "#include <boost/version.hpp>", "#include <tensorbroker/client.h>"],
        "broker/a.cc": ['#include "proto/x.h"', "#include <tensorbroker/error.h>", "// include client/x.h"],
        "python/src/a.cc": ['#include "client/x.h"', '#include "proto/x.h"'],
        "tests/client/a.cc": ['#include "client/x.h"', '#include "broker/x.h"'],
        "examples/digits/a.cc": ["#include <tensorbroker/client.h>"],
        "client/include/tensorbroker/a.h": ["#include <tensorbroker/error.h>", "#include <vector>"],
    }
    cases = [(path, line, True) for path, lines in violations.items() for line in lines]
    cases += [(path, line, False) for path, lines in allowed.items() for line in lines]
    for path, line, bad in cases:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name).resolve()
            for header in ("client/include/tensorbroker/client.h", "proto/include/tensorbroker/error.h", "broker/x.h"):
                (root / header).parent.mkdir(parents=True, exist_ok=True)
                (root / header).touch()
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(f"#include <vector>\n{line}\n", encoding="utf-8")
            messages = check_tree(root)[1]
            if bool(messages) != bad or any(f"{path}:2:" not in message for message in messages):
                sys.exit(f"check_layers: self-test failed: {path} with {line} gave {messages}")
    print(f"check_layers: self-test passed, {len(cases)} cases")


def main() -> None:
    """Check the repository that this file lies in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--self-test", action="store_true")
    if parser.parse_args().self_test:
        self_test()
        return
    count, messages = check_tree(Path(__file__).resolve().parent.parent)
    if messages:
        sys.exit("\n".join(messages))
    if count == 0:
        sys.exit("check_layers: no C++ file found")
    print(f"check_layers: {count} files, dependencies point one way")


if __name__ == "__main__":
    main()

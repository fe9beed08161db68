"""Runs clang-format over all C++ files of the repository, or clang-tidy over those that the build compiles.

clang-tidy takes seconds for a file, so a file that passed is not looked at again until something that its result
depends on changes: the file, a header of ours that it includes, its compile command, .clang-tidy, the tool. The stamps
lie in build/lint.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
STAMPS = BUILD / "lint"
TOOLS = Path(sys.executable).parent  # those of .venv, whatever PATH says
FOLDERS = ("proto", "client", "broker", "python", "tests", "examples")
INCLUDE_PATH = (ROOT, ROOT / "proto/include", ROOT / "client/include", BUILD, BUILD / "proto/include")
INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]', re.MULTILINE)


def format_files(fix: bool) -> int:
    """Check the layout of every C++ file, or with `fix` correct it; return the exit status."""
    files = sorted(
        str(path) for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in (".h", ".cc")
    )
    if not files:
        print("clang-format: no C++ file found", file=sys.stderr)
        return 1
    mode = ["-i"] if fix else ["--dry-run", "-Werror"]
    status = subprocess.run([str(TOOLS / "clang-format"), *mode, *files], check=False).returncode
    if status == 0:
        print(f"clang-format: {len(files)} files")
    return status


@cache
def included_files(path: Path) -> tuple[bytes, tuple[Path, ...]]:
    """Return the digest of a file and the files of ours that it includes itself."""
    text = path.read_bytes()
    found = []
    for match in INCLUDE.finditer(text):
        for folder in (path.parent, *INCLUDE_PATH):
            candidate = folder / os.fsdecode(match[1])
            if candidate.is_file() and candidate.resolve().is_relative_to(ROOT):
                found.append(candidate.resolve())
                break
    return hashlib.sha256(text).digest(), tuple(found)


def closure(path: Path) -> list[Path]:
    """Return `path` and every file of ours that it includes, in whatever depth, sorted."""
    seen = {path}
    todo = [path]
    while todo:
        for found in included_files(todo.pop())[1]:
            if found not in seen:
                seen.add(found)
                todo.append(found)
    return sorted(seen)


def key(command: str, path: Path, tool: bytes) -> str:
    """Return the name of the stamp: a digest of all that the result of clang-tidy depends on."""
    digest = hashlib.sha256(tool + command.replace(str(ROOT), ".").encode())
    for file in closure(path):
        digest.update(str(file.relative_to(ROOT)).encode() + included_files(file)[0])
    return digest.hexdigest()


def tidy_file(path: Path, stamp: Path) -> bool:
    """Run clang-tidy on one file; print what it finds; leave the stamp when it finds nothing."""
    done = subprocess.run(
        [str(TOOLS / "clang-tidy"), "--quiet", "-p", str(BUILD), str(path)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        stamp.touch()
        return True
    noise = re.compile(r"^\d+ warnings?( and \d+ errors?)? generated|^Suppressed |^Use -header-filter")
    shown = [line for line in (done.stdout + done.stderr).splitlines() if not noise.match(line)]
    print("\n".join(shown), flush=True)
    return False


def tidy(jobs: int) -> int:
    """Check every file of ours in the compile database; return the exit status."""
    commands = json.loads((BUILD / "compile_commands.json").read_text(encoding="utf-8"))
    tool = subprocess.run([str(TOOLS / "clang-tidy"), "--version"], check=True, stdout=subprocess.PIPE).stdout
    tool += (ROOT / ".clang-tidy").read_bytes()
    STAMPS.mkdir(exist_ok=True)
    stamps: dict[Path, Path] = {}
    for entry in commands:
        path = Path(entry["directory"], entry["file"]).resolve()
        if path.is_relative_to(ROOT) and not path.is_relative_to(BUILD):
            stamps[path] = STAMPS / key(entry["command"], path, tool)
    if not stamps:
        print("clang-tidy: the compile database names no file of ours", file=sys.stderr)
        return 1
    for stale in set(STAMPS.iterdir()) - set(stamps.values()):
        stale.unlink()
    todo = sorted((path, stamp) for path, stamp in stamps.items() if not stamp.exists())
    with ThreadPoolExecutor(jobs) as pool:
        failed = sum(not passed for passed in pool.map(lambda item: tidy_file(*item), todo))
    print(f"clang-tidy: {len(stamps)} files, {len(todo)} of them checked now, {failed} with findings")
    return int(failed > 0)


def main() -> int:
    """Parse the arguments, run one of the two tools."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("format").add_argument("--fix", action="store_true", help="correct the files in place")
    commands.add_parser("tidy").add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    return format_files(arguments.fix) if arguments.command == "format" else tidy(arguments.jobs)


if __name__ == "__main__":
    sys.exit(main())

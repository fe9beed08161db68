"""The command ``tensorbroker``: what a broker holds, and what is wrong where it does not work.

Status 0; 1 with a message on stderr; 2 for a usage error; 130 after Ctrl-C.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tensorbroker import _core, doctor
from tensorbroker._core import Bundle, Client, Info

STOP_TIMEOUT = 10.0  # seconds
WIDEST = 1000  # columns


class CommandError(Exception):
    """What ends a command with status 1: a message that says what to do."""


def human_bytes(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def print_json(value: Any) -> None:
    """Print for programs: one line."""
    print(json.dumps(value), flush=True)


def table(*columns: str) -> Table:
    """Return an empty table; a column whose name begins with ">" is for numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", no_wrap=True)
    return made


def print_table(made: Table) -> None:
    """Print a table as wide as it is: the terminal wraps lines, and nothing is cut off."""
    Console(width=WIDEST).print(made, markup=False)


def print_pairs(pairs: dict[str, Any]) -> None:
    """Print names and values below each other."""
    made = Table(box=None, show_header=False, pad_edge=False)
    for name, value in pairs.items():
        made.add_row(Text(name, style="bold"), Text(str(value)))
    print_table(made)


def connect(arguments: argparse.Namespace, *, autostart: bool | None = False) -> Client:
    """Connect to the instance that the options name."""
    return _core.connect(
        arguments.instance, runtime_dir=arguments.runtime_dir, autostart=autostart, owner=arguments.owner
    )


def places(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return where the instance's things are, and who its broker is."""
    return _core._places(arguments.instance or "", arguments.runtime_dir or "", arguments.owner or "")


def own_places(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the same where the instance is this user's; what only its owner may do ends otherwise."""
    found = places(arguments)
    if found["owner"] != os.geteuid():
        raise CommandError(f"the broker of uid {found['owner']} is started and stopped by that user alone")
    return found


def describe(info: Info, *, holders: bool = False) -> dict[str, Any]:
    """Return what a program reads of one listed name."""
    described = {
        "name": info.name,
        "kind": info.kind,
        "dtype": info.dtype.name if info.dtype is not None else None,
        "shape": list(info.shape),
        "nbytes": info.nbytes,
        "version": info.version,
        "mutable": info.mutable,
        "metadata": info.metadata,
        "created": info.created,
        "handle": info.handle,
    }
    return described | {"holders": info.holders} if holders else described


def shape_text(info: Info) -> str:
    """Return the shape of a tensor, the number of members of a bundle."""
    return f"{info.shape[0]} tensors" if info.kind == "bundle" else str(tuple(info.shape))


def find_info(client: Client, name: str) -> Info:
    """Return the listing's line of this name."""
    for info in client.list(name):
        if info.name == name:
            return info
    raise CommandError(
        f"there is no '{name}' in the instance '{client.instance}'; `tensorbroker ls` lists what there is"
    )


def status(arguments: argparse.Namespace) -> int:
    """Print what the broker says of itself."""
    with connect(arguments) as client:
        stats = client.stats()
    if arguments.json:
        print_json(stats)
        return 0
    pairs = {"instance": stats["instance"], "broker": f"pid {stats['broker_pid']}, up {stats['uptime']:.0f} s"}
    pairs |= {name: human_bytes(stats[name]) for name in ("capacity", "used", "live", "retired", "free")}
    print_pairs(pairs | {name: stats[name] for name in ("tensors", "bundles", "sessions")})
    return 0


def ls(arguments: argparse.Namespace) -> int:
    """List the names under a prefix."""
    with connect(arguments) as client:
        infos = client.list(arguments.prefix)
    if arguments.json:
        print_json([describe(info) for info in infos])
        return 0
    made = table("name", "kind", "dtype", "shape", ">bytes", ">version", "created")
    for info in infos:
        kind = "mutable" if info.mutable else info.kind
        dtype = info.dtype.name if info.dtype is not None else ""
        created = datetime.fromtimestamp(info.created).strftime("%Y-%m-%d %H:%M:%S")
        made.add_row(
            Text(info.name), kind, dtype, shape_text(info), human_bytes(info.nbytes), str(info.version), created
        )
    print_table(made)
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print one tensor or bundle."""
    with connect(arguments) as client:
        info = find_info(client, arguments.name)
        described = describe(info, holders=True)
        value = client.open(info.handle)
        members = {name: {"dtype": t.dtype.name, "shape": list(t.shape)} for name, t in members_of(value).items()}
        if arguments.json:
            print_json(described | {"members": members} if members else described)
            return 0
        print_pairs({name: described[name] for name in described if described[name] is not None})
        if not members:
            print(value)
            return 0
        made = table("member", "dtype", "shape")
        for name, member in members.items():
            made.add_row(Text(name), member["dtype"], str(tuple(member["shape"])))
        print_table(made)
    return 0


def members_of(value: Any) -> dict[str, Any]:
    """Return the members of a bundle; none of a tensor."""
    return dict(value) if isinstance(value, Bundle) else {}


def put(arguments: argparse.Namespace) -> int:
    """Publish an .npy file."""
    array = np.load(arguments.file, mmap_mode="r", allow_pickle=False)
    with connect(arguments, autostart=None) as client:
        version = client.put(arguments.name, array).version
    if arguments.json:
        print_json({"name": arguments.name, "version": version})
    return 0


def get(arguments: argparse.Namespace) -> int:
    """Save a tensor as an .npy file."""
    with connect(arguments) as client:
        value = client.get(arguments.name)
        if isinstance(value, Bundle):
            raise CommandError(f"'{arguments.name}' is a bundle, and a .npy file holds one array; get it from Python")
        array = value.numpy()
        if array.dtype.isbuiltin != 1:
            raise CommandError(f"a .npy file cannot hold {value.dtype.name}; get '{arguments.name}' from Python")
        with open(arguments.file, "wb") as file:  # np.save adds an ending to a name
            np.save(file, array)
        if arguments.json:
            print_json({"name": arguments.name, "version": value.version, "file": arguments.file})
    return 0


def rm(arguments: argparse.Namespace) -> int:
    """Delete a name."""
    with connect(arguments) as client:
        client.delete(arguments.name)
    return 0


def watch(arguments: argparse.Namespace) -> int:
    """Print each version of a name as it appears, until Ctrl-C."""
    with connect(arguments, autostart=None) as client:
        for value in client.watch(arguments.name):
            kind = "bundle" if isinstance(value, Bundle) else "tensor"
            version = {"name": arguments.name, "kind": kind, "version": value.version, "nbytes": value.nbytes}
            version["metadata"] = value.metadata
            if arguments.json:
                print_json(version)
            else:
                metadata = json.dumps(value.metadata) if value.metadata else ""
                print(f"{value.version}  {kind}  {human_bytes(value.nbytes)}  {metadata}".rstrip(), flush=True)
            value.release()
    return 0


def start(arguments: argparse.Namespace) -> int:
    """Start a broker that stays until it is stopped."""
    where = own_places(arguments)
    if where["broker_pid"] is not None:
        print(f"a broker of instance {where['instance']} is running already (pid {where['broker_pid']})")
        return 0
    command = [where["daemon"] or "tensorbrokerd", "--detach", "--instance", where["instance"]]
    command += ["--runtime-dir", where["runtime_dir"]]
    for option in ("capacity", "group"):
        if getattr(arguments, option):
            command += [f"--{option}", getattr(arguments, option)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise CommandError(done.stderr.strip() or f"{command[0]} ended with status {done.returncode}")
    pid = places(arguments)["broker_pid"]
    if arguments.json:
        print_json({"instance": where["instance"], "broker_pid": pid})
    else:
        print(f"started a broker of instance {where['instance']} (pid {pid}); its log is {where['log']}")
    return 0


def stop(arguments: argparse.Namespace) -> int:
    """End the broker; with --keep what it holds waits for a successor."""
    where = own_places(arguments)
    if where["broker_pid"] is None:
        raise CommandError(f"no broker of instance {where['instance']} is running")
    with connect(arguments) as client:
        client._stop_broker(arguments.keep)
    deadline = time.monotonic() + STOP_TIMEOUT
    while places(arguments)["broker_pid"] == where["broker_pid"]:
        if time.monotonic() > deadline:
            raise CommandError(f"the broker (pid {where['broker_pid']}) has not ended after {STOP_TIMEOUT:.0f} s")
        time.sleep(0.02)
    return 0


def examine(arguments: argparse.Namespace) -> int:
    """Print what the doctor finds; status 1 where something is wrong."""
    findings = doctor.examine(arguments.instance or "", arguments.runtime_dir or "", arguments.owner or "")
    if arguments.json:
        print_json([finding._asdict() for finding in findings])
    else:
        console = Console(highlight=False)
        marks = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "error": "[red]error  [/]"}
        for finding in findings:
            console.print(f"{marks[finding.level]} [bold]{finding.subject}[/]: ", end="", soft_wrap=True)
            console.print(finding.message, markup=False, soft_wrap=True)
            if finding.remedy:
                console.print(f"        -> {finding.remedy}", markup=False, soft_wrap=True)
    return 1 if any(finding.level == "error" for finding in findings) else 0


def common_options(*, default: Any) -> argparse.ArgumentParser:
    """Return the options that stand before or after the command."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--instance", metavar="NAME", default=default, help="instance (default: default)")
    options.add_argument("--runtime-dir", metavar="DIR", default=default, help="directory of the broker's socket")
    options.add_argument("--owner", metavar="USER", default=default, help="whose broker (default: this user's)")
    suppressed = argparse.SUPPRESS if default is argparse.SUPPRESS else False
    options.add_argument("--json", action="store_true", default=suppressed, help="print JSON")
    return options


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="tensorbroker",
        description="Shows and changes what a tensorbroker holds.",
        parents=[common_options(default=None)],
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    after = common_options(default=argparse.SUPPRESS)

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=[after])
        command.set_defaults(run=run)
        return command

    add("status", status, "Print what the broker says of itself.")
    add("ls", ls, "List names.").add_argument("prefix", nargs="?", default="", metavar="PREFIX")
    add("show", show, "Print one tensor or bundle.").add_argument("name", metavar="NAME")
    for name, run, text in (("put", put, "Publish an .npy file."), ("get", get, "Save a tensor as an .npy file.")):
        command = add(name, run, text)
        command.add_argument("name", metavar="NAME")
        command.add_argument("file", metavar="FILE.npy")
    add("rm", rm, "Delete a name.").add_argument("name", metavar="NAME")
    add("watch", watch, "Print each version of a name as it appears.").add_argument("name", metavar="NAME")
    starting = add("start", start, "Start a broker that stays.")
    starting.add_argument("--capacity", metavar="SIZE", help="such as 8GiB")
    starting.add_argument("--group", metavar="NAME", help="group whose members may connect and read")
    keep = add("stop", stop, "End the broker.")
    keep.add_argument("--keep", action="store_true", help="leave everything for a successor to adopt")
    add("doctor", examine, "Look for what is wrong, and say what to do.")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its status."""
    arguments = make_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        with suppress(OSError):
            sys.stdout.close()
        return 1
    except (CommandError, _core.Error, OSError, ValueError) as error:
        print(f"tensorbroker: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

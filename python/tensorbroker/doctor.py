"""Looks for what keeps a broker from working on this machine, and says what to do about each."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tensorbroker import _core

SHM = Path("/dev/shm")
SMALL_SHM = 1 << 30  # bytes; a container's is often 64 MiB
LONGEST_SOCKET_PATH = 107  # bytes: sockaddr_un


class Finding(NamedTuple):
    """One thing that was looked at; a remedy where it is not as it should be."""

    subject: str
    level: Literal["ok", "warning", "error"]
    message: str
    remedy: str = ""


def mib(count: int) -> str:
    """Return a number of bytes in MiB."""
    return f"{count / 2**20:,.0f} MiB"


def check_shm() -> Finding:
    """Look at the file system that the segments lie in."""
    if not SHM.is_dir():
        return Finding("/dev/shm", "error", "is not there", "mount it: mount -t tmpfs -o size=50% tmpfs /dev/shm")
    space = os.statvfs(SHM)
    if space.f_flag & os.ST_RDONLY or not os.access(SHM, os.W_OK):
        return Finding("/dev/shm", "error", "cannot be written to", "mount it writable: mount -o remount,rw /dev/shm")
    size, free = space.f_frsize * space.f_blocks, space.f_frsize * space.f_bavail
    text = f"{mib(free)} of {mib(size)} are free"
    if free < SMALL_SHM:
        remedy = (
            "in a container raise it with --shm-size or share the host's with --ipc=host; else delete what is not used"
        )
        return Finding("/dev/shm", "warning" if free else "error", text, remedy)
    return Finding("/dev/shm", "ok", text)


def cgroup_limits() -> Iterator[tuple[Path, int, int]]:
    """Yield each memory limit above this process: its directory, the limit and what is used (bytes)."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, limit, used = Path("/sys/fs/cgroup"), "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            root, limit, used = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        folder = root / path.lstrip("/")
        while folder == root or root in folder.parents:
            try:
                text = (folder / limit).read_text().strip()
                if text != "max" and int(text) < 1 << 60:
                    yield folder, int(text), int((folder / used).read_text())
            except (OSError, ValueError):
                pass
            folder = folder.parent


def check_cgroup() -> Finding:
    """Look at what the memory cgroups leave: tensors are charged to whoever touches them first."""
    limits = sorted(cgroup_limits(), key=lambda found: found[1] - found[2])
    if not limits:
        return Finding("memory limit", "ok", "no memory cgroup limits this process")
    folder, limit, used = limits[0]
    text = f"{mib(max(limit - used, 0))} of {mib(limit)} are left under {folder}"
    if limit - used < SMALL_SHM // 4:
        return Finding("memory limit", "warning", text, "raise the container's or service's memory limit (--memory)")
    return Finding("memory limit", "ok", text)


def check_runtime_dir(places: dict[str, Any]) -> Finding:
    """Look at the directory of socket and log."""
    folder = Path(places["runtime_dir"])
    name = "runtime directory"
    other = "choose another with --runtime-dir or TENSORBROKER_RUNTIME_DIR"
    if len(os.fsencode(places["socket"])) > LONGEST_SOCKET_PATH:
        return Finding(name, "error", f"{folder} is too long for the path of a socket", other)
    try:
        found = folder.lstat()
    except FileNotFoundError:
        if folder.parent.is_dir():
            return Finding(name, "ok", f"{folder} is made when a broker starts")
        return Finding(name, "error", f"{folder.parent} is not there", f"mkdir -p {folder.parent}, or {other}")
    except OSError as error:
        return Finding(name, "error", f"{folder}: {error.strerror}", other)
    if stat.S_ISLNK(found.st_mode) or not stat.S_ISDIR(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "no directory"
        return Finding(name, "error", f"{folder} is {kind}", f"remove it, or {other}")
    if found.st_uid != places["owner"]:
        return Finding(name, "error", f"{folder} belongs to uid {found.st_uid}", other)
    if found.st_mode & 0o027:
        return Finding(name, "error", f"{folder} is open to others", f"chmod 700 {folder}")
    return Finding(name, "ok", str(folder))


def check_lock(places: dict[str, Any]) -> Finding:
    """Look at who holds the instance's lock."""
    if places["owner"] != os.geteuid():
        return Finding("lock", "ok", f"is for uid {places['owner']} alone to look at")
    lock = Path(places["lock"])
    if places["broker_pid"] is None:
        return Finding("lock", "ok", "nobody holds it" if lock.exists() else "is not there: no broker runs")
    here, there = places["runtime_dir"], places["broker_runtime_dir"]
    text = f"held by the broker, pid {places['broker_pid']}"
    if there and there != here:
        return Finding("lock", "warning", f"{text}, whose runtime directory is {there}", f"use --runtime-dir {there}")
    return Finding("lock", "ok", text)


def check_broker(places: dict[str, Any]) -> Finding:
    """Ask the broker."""
    is_own = places["owner"] == os.geteuid()
    if places["broker_pid"] is None and is_own:
        if not places["daemon"]:
            remedy = "install tensorbrokerd, or set TENSORBROKER_DAEMON to its path"
            return Finding("broker", "error", "none is running, and no tensorbrokerd was found to start one", remedy)
        return Finding("broker", "ok", f"none is running; connect() would start {places['daemon']}")
    try:
        folder = None if is_own else places["runtime_dir"]
        with _core.connect(
            places["instance"], runtime_dir=folder, autostart=False, timeout=5.0, owner=places["owner"]
        ) as client:
            stats = client.stats()
    except (_core.Error, TimeoutError) as error:
        if not is_own:
            return Finding("broker", "error", str(error))
        remedy = f"see {places['log']}; end it with kill {places['broker_pid']} (a successor adopts what it holds)"
        return Finding("broker", "error", f"pid {places['broker_pid']} does not serve: {error}", remedy)
    text = f"pid {stats['broker_pid']} serves {stats['tensors']} tensors and {stats['bundles']} bundles"
    used, capacity = stats["used"], stats["capacity"]
    if used > capacity * 0.95:
        return Finding(
            "broker", "warning", f"{text}; {mib(used)} of {mib(capacity)} are used", "delete what is not used"
        )
    return Finding("broker", "ok", f"{text}; {mib(used)} of {mib(capacity)} are used")


def check_stale() -> Iterator[Finding]:
    """Look for segments of instances that no broker serves."""
    prefix = f"tensorbroker.{os.geteuid()}."
    sizes: dict[str, int] = {}
    for path in SHM.glob(prefix + "*"):
        instance = path.name.removeprefix(prefix).split(".")[0]
        try:
            sizes[instance] = sizes.get(instance, 0) + path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    for instance, size in sorted(sizes.items()):
        try:
            if _core._places(instance)["broker_pid"] is not None:
                continue
        except ValueError:  # no instance's name
            continue
        yield Finding(
            "segments",
            "warning",
            f"the instance '{instance}' has {mib(size)} in /dev/shm, and no broker",
            f"`tensorbroker --instance {instance} start` adopts them; if nobody needs them, `stop` it then",
        )


def examine(instance: str = "", runtime_dir: str = "", owner: str = "") -> list[Finding]:
    """Look at everything."""
    places = _core._places(instance, runtime_dir, owner)
    findings = [check_shm(), check_cgroup(), check_runtime_dir(places), check_lock(places), check_broker(places)]
    stale = list(check_stale())
    return findings + (stale or [Finding("segments", "ok", "no instance without a broker has left any")])

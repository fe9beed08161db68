"""What a run was made on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

from cpp import ROOT


def field_of(path: str, name: str) -> str:
    """Return the value of a field of a file under /proc; empty where there is none."""
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def output_of(*command: str) -> str:
    """Return the first line that a program prints; empty where it cannot be run."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30, cwd=ROOT)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.split("\n", 1)[0].strip()


def describe() -> dict[str, str]:
    """Return what the figures of a run depend on."""
    flags = field_of("/proc/cpuinfo", "flags").split()
    memory = int(field_of("/proc/meminfo", "MemTotal").split()[0]) / (1 << 20)
    huge = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
    chosen = re.search(r"\[(\w+)\]", huge.read_text()) if huge.exists() else None
    return {
        "processor": field_of("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": f"{len(os.sched_getaffinity(0))}{', of a virtual machine' if 'hypervisor' in flags else ''}",
        "memory": f"{memory:.0f} GiB",
        "kernel": f"Linux {platform.release()}",
        "huge pages of shared memory": chosen[1] if chosen else "none",
        "compiler": output_of("c++", "--version"),
        "Python": f"{platform.python_version()}, NumPy {importlib.metadata.version('numpy')}",
        "load before the run": f"{os.getloadavg()[0]:.2f}",
    }

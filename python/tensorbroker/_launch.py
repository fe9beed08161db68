"""The console script ``tensorbrokerd``: replaces itself with the daemon that this package carries."""

import os
import sys


def daemon_path() -> str:
    """Return the path of the daemon inside the installed package."""
    return os.path.join(os.path.dirname(os.path.realpath(__file__)), "bin", "tensorbrokerd")


def main() -> None:
    """Become the daemon: same process id, arguments, environment and descriptors."""
    daemon = daemon_path()
    try:
        os.execv(daemon, ["tensorbrokerd", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"tensorbrokerd: cannot start {daemon}: {error.strerror}. Reinstall the package tensorbroker.")

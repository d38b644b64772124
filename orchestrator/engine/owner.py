"""Who started a container, so that only our own orphans are ever touched.

An owner is a user on a machine, and in a process namespace: a number means another process
elsewhere.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import socket
from pathlib import Path


def owner_id() -> str:
    """Return a stable name for this user on this machine; tells nothing about either."""
    parts = [socket.gethostname(), user_name()]
    try:
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        parts.append(platform.system())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def user_name() -> str:
    """Return what the system calls this user; a word in its place where it does not tell."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else "user"

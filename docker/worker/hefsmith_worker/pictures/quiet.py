"""Silences Python warnings while pictures are read, in any number of threads.

Pillow warns about odd metadata and large pictures; our own limits decide, and users are told
by findings. ``warnings.catch_warnings`` changes the whole process, so two threads that use it
at once may leave the warnings off for good: here the first one in silences and the last one
out restores.
"""

from __future__ import annotations

import sys
import threading
import warnings
from contextlib import contextmanager
from typing import Iterator, Optional

_lock = threading.Lock()
_inside = 0
_before: Optional[warnings.catch_warnings] = None


@contextmanager
def without_warnings() -> Iterator[None]:
    """Let no warning through until the block ends."""
    if getattr(sys.flags, "context_aware_warnings", 0):
        # Newer Pythons keep the filters for each thread.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
        return
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _before, _inside
    with _lock:
        if _inside == 0:
            _before = warnings.catch_warnings()
            _before.__enter__()
            warnings.simplefilter("ignore")
        _inside += 1


def _leave() -> None:
    global _before, _inside
    with _lock:
        _inside -= 1
        if _inside == 0 and _before is not None:
            _before.__exit__(None, None, None)
            _before = None

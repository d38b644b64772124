"""Where the vendor has its compiled library; here, its version and the faults of loading it."""

from __future__ import annotations

from hailo_emulator.runtime.settings import read_setup
from hailo_emulator.runtime.status import get_status_message

__all__ = ["HailoRTStatusException", "__version__", "get_status_message"]


class HailoRTStatusException(Exception):
    """A status as the compiled library raises it; the Python classes turn it into their own."""


_setup = read_setup()
if _setup.has("library_missing"):
    _text = (
        f"libhailort.so.{_setup.version}: cannot open shared object file: No such file or directory"
    )
    raise ImportError(_text)

#: Version of the library.
__version__ = _setup.other_version if _setup.has("binding_mismatch") else _setup.version

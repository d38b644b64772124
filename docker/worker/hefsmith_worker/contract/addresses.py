"""Addresses of remote places as they may be shown: no password, no token, no signature.

Standard library and Python 3.8 only: the worker and the host read it.
"""

import re

_PASSWORD = re.compile(r"(?<=://)([^/@:?#\s]*):[^/?#\s]*@")
#: Of the web's addresses what stands before the host is a token; a login of SSH is a name.
_TOKEN = re.compile(r"(https?://)[^/@:?#\s]+@", re.IGNORECASE)
#: What follows a question mark may be a signature.
_SIGNED = re.compile(r"(://[^?#\s]*)[?#][^\s'\"]*")


def shown(text: str) -> str:
    """Return an address, or a message with addresses in it, without its secrets."""
    text = _PASSWORD.sub(r"\1:***@", text)
    return _SIGNED.sub(r"\1?***", _TOKEN.sub(r"\1***@", text))

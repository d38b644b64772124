"""Addresses of remote places as they may be shown: no password, no token, no signature.

Standard library and Python 3.8 only: the worker and the host read it.
"""

import re

_PASSWORD = re.compile(r"(?<=://)([^/@:?#\s]*):[^/?#\s]*@")
#: Of the web's addresses what stands before the host is a token; a login of SSH is a name.
_TOKEN = re.compile(r"(https?://)[^/@:?#\s]+@", re.IGNORECASE)
#: What follows a question mark may be a signature.
_SIGNED = re.compile(r"(://[^?#\s]*)[?#][^\s'\"]*")
#: Values of an address's query that let in whoever has them.
_LETS_IN = re.compile(
    r"([?&;][\w.-]*(?:sig|token|key|secret|passw|pwd|credential|auth)[\w.-]*=)[^&;\s'\"]+",
    re.IGNORECASE,
)


#: As above; whoever took an address for a path has left it one slash.
_LOGIN = re.compile(r"(:/[^/@:?#\s]+):[^/?#\s]*@|(https?:/)[^/@:?#\s]+@", re.IGNORECASE)


def hidden(text: str) -> str:
    """Return a message of any kind without secrets of addresses in it; other text is as it was."""
    text = _TOKEN.sub(r"\1***@", _PASSWORD.sub(r"\1:***@", text))
    text = _LOGIN.sub(lambda found: (found[1] + ":" if found[1] else found[2]) + "***@", text)
    return _LETS_IN.sub(r"\1***", text)


def shown(text: str) -> str:
    """Return an address, or a message with addresses in it, without its secrets."""
    text = _PASSWORD.sub(r"\1:***@", text)
    return _SIGNED.sub(r"\1?***", _TOKEN.sub(r"\1***@", text))

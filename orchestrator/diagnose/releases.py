"""Compares the release that was asked of pip with those that it found.

"Could not find a version" has many reasons, and the list behind it tells them apart: all that is
there is newer than what was asked for, or older, or the same without the mark of its build.
"""

from __future__ import annotations

import re

_CLAUSE = re.compile(r"(===?|~=|<=|>=|<|>)\s*v?(\d+(?:\.\d+)*)[^\s,+]*(?:\+([\w.]+))?")
_FOUND = re.compile(r"(?<![\w.])(\d+(?:\.\d+)*)((?:\.?(?:dev|a|b|rc|post)\d*)*)(?:\+([\w.]+))?")
_Release = tuple[int, ...]


def _numbers(text: str) -> _Release:
    numbers = [int(part) for part in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def compares(how: str, asked: str, have: str) -> bool:
    """Tell whether all releases of ``have`` are ``older`` or ``newer`` than what is ``asked``, or
    lack the mark of a build that it has (``build``)."""
    clauses = [(op, _numbers(text), build) for op, text, build in _CLAUSE.findall(asked)]
    found = [(_numbers(text), build) for text, _, build in _FOUND.findall(have)]
    if not clauses or not found:
        return False
    releases = [release for release, _ in found]
    if how == "build":
        return any(
            build and release in releases and build not in {one for _, one in found}
            for _, release, build in clauses
        )
    if any(build for _, _, build in clauses):
        return False
    most = [release for op, release, _ in clauses if op in {"==", "===", "<=", "<"}]
    least = [release for op, release, _ in clauses if op in {"==", "===", ">=", ">", "~="}]
    if how == "newer":
        return bool(most) and min(most) < min(releases)
    return bool(least) and max(least) > max(releases)

"""The model script language (``.alls``): read, check, merge and generate.

Reading needs nothing but the standard library, and no facts of chips: who only reads a script
imports :func:`parse` from here, and is not built again when those change.
"""

from __future__ import annotations

from hefsmith_worker.script.syntax import Command, Script, ScriptSyntaxError, Span, parse
from hefsmith_worker.script.values import Glob, Name, Value

__all__ = [
    "Command",
    "Glob",
    "Name",
    "Script",
    "ScriptSyntaxError",
    "Span",
    "Value",
    "parse",
]

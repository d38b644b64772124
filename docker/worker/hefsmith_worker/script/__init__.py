"""The model script language (``.alls``): read, check, merge and generate.

Reading needs nothing but the standard library: the emulator and the command line import
:func:`parse` from here.
"""

from __future__ import annotations

from hefsmith_worker.script.generate import GeneratedScript, generate
from hefsmith_worker.script.request import ScriptRequest, script_request
from hefsmith_worker.script.syntax import Command, Script, ScriptSyntaxError, Span, parse
from hefsmith_worker.script.values import Glob, Name, Value

__all__ = [
    "Command",
    "GeneratedScript",
    "Glob",
    "Name",
    "Script",
    "ScriptRequest",
    "ScriptSyntaxError",
    "Span",
    "Value",
    "generate",
    "parse",
    "script_request",
]

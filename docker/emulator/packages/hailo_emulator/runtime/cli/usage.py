"""How the command line is read, with the exit codes of CLI11, the vendor's option parser."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from hailo_emulator.runtime.settings import Setup

    Work = Callable[[Setup, argparse.Namespace], int]

    class Commands(Protocol):
        """Where a command is added."""

        def add_parser(self, name: str, /, *, help: str) -> Parser:  # noqa: A002
            """Add one and return its parser."""


VALIDATION: Final = 105
REQUIRED: Final = 106
REQUIRES: Final = 107
EXCLUDES: Final = 108
EXTRAS: Final = 109
INVALID: Final = 111


class UsageError(Exception):
    """A mistake in the command line; ``code`` is the exit status."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Parser(argparse.ArgumentParser):
    """argparse with CLI11's way to end."""

    def error(self, message: str) -> NoReturn:
        """Raise what :func:`main` prints."""
        if "required" in message:
            raise UsageError(message, REQUIRED)
        if "not allowed with" in message:
            raise UsageError(message, EXCLUDES)
        if "argument command: invalid choice" in message:
            text = f"The following argument was not expected: {message.split(chr(39))[1]}"
            raise UsageError(text, EXTRAS)
        if "unrecognized" in message:
            extra = message.partition(": ")[2]
            text = f"The following arguments were not expected: {extra}"
            raise UsageError(text, EXTRAS)
        raise UsageError(message, VALIDATION)


def existing(text: str) -> Path:
    """Return the path of a file that is there."""
    path = Path(text)
    if not path.exists():
        msg = f"File does not exist: {text}"
        raise UsageError(msg, VALIDATION)
    return path


def positive(text: str) -> int:
    """Return a whole number above 0."""
    if not text.isdigit() or int(text) == 0:
        msg = f"Number less or equal to 0: {text}"
        raise UsageError(msg, VALIDATION)
    return int(text)


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add the three ways to name devices."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-s", "--device-id", action="append", dest="device_ids")
    group.add_argument("--bdf", action="append", dest="device_ids")
    group.add_argument("--ip", action="append", dest="device_ids")

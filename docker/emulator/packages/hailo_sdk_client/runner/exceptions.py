"""Emulated: misuse of ``ClientRunner``. The class names are the vendor's, the texts are ours."""

from __future__ import annotations


class ClientRunnerException(Exception):
    """Base of misuse of the runner."""


class InvalidStateException(ClientRunnerException):
    """A call out of order."""


class InvalidArgumentsException(ClientRunnerException):
    """Arguments that do not go together, or not with this compiler."""

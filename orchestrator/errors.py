"""Every error that a user can meet, and the exit code that goes with it.

One class per exit code of the design. Rooms subclass these where a caller must tell cases
apart; only :func:`orchestrator.cli.app.run` prints them and leaves the process.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of ``hef``, the same for every command."""

    OK = 0
    STAGE_FAILED = 1
    USAGE = 2
    ENGINE = 3
    DEVICE = 4
    VERDICT = 5
    ARTIFACT = 6
    INTERRUPTED = 130


class HefsmithError(Exception):
    """Something went wrong that the user can act on.

    ``message`` says what happened and where, ``hint`` what to do next (may span lines),
    ``code`` is a stable identifier for programs (``recipe.unknown-key``).
    """

    exit_code: ExitCode = ExitCode.STAGE_FAILED
    default_code: str = "failed"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "exit_code": int(self.exit_code),
        }


class StageFailed(HefsmithError):
    """A stage of a build failed, or did less than was asked under ``--strict``."""

    exit_code = ExitCode.STAGE_FAILED
    default_code = "stage.failed"


class ConfigError(HefsmithError):
    """A recipe, project file, option or input file of the user is wrong."""

    exit_code = ExitCode.USAGE
    default_code = "config"


class EngineError(HefsmithError):
    """The engine cannot be reached, lacks something, or went away in mid-run."""

    exit_code = ExitCode.ENGINE
    default_code = "engine"


class DeviceError(HefsmithError):
    """The device cannot be reached, is not trusted, or refused."""

    exit_code = ExitCode.DEVICE
    default_code = "device"


class ArtifactError(HefsmithError):
    """A file is corrupt, is not what it claims to be, or cannot run where it should."""

    exit_code = ExitCode.ARTIFACT
    default_code = "artifact"


class Interrupted(HefsmithError):
    """The user, or the system, asked us to stop."""

    exit_code = ExitCode.INTERRUPTED
    default_code = "interrupted"

    def __init__(self, message: str = "interrupted", **more: str | None) -> None:
        super().__init__(message, **more)


def escape_control(text: str) -> str:
    """Return ``text`` with control characters made visible (``\\x1b``), newlines included.

    Names that come from files, logs or devices pass through here before a terminal sees them.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def shorten(text: str, most: int = 200) -> str:
    """Return ``text`` as one visible line of at most ``most`` characters."""
    visible = escape_control(text[: most + 1])
    return visible if len(visible) <= most else f"{visible[: most - 3]}..."


def last_line(printed: str, otherwise: str) -> str:
    """Return the last line that a program has printed, ``otherwise`` where it printed nothing."""
    return (printed.strip().splitlines() or [otherwise])[-1]


def in_one_line(failure: HefsmithError) -> str:
    """Return a failure's first line; where that only announces lines, also the last of them."""
    first, *rest = failure.message.splitlines()
    return f"{first} {rest[-1].strip()}" if first.endswith(":") and rest else first

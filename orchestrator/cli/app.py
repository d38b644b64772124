"""The Typer application: which commands exist, and the one place that prints errors.

Command modules are imported at start-up, so they import nothing but the standard library
and typer; a test guards the list of loaded modules. A command line that names its command
loads that one module alone.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.coercion import spare_adapters
from orchestrator.cli.output import speak_plainly
from orchestrator.errors import ConfigError, ExitCode, HefsmithError, Interrupted, escape_control

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Modules of this package that add commands, in the order of the help page.
COMMAND_MODULES: tuple[str, ...] = (
    "up",
    "init",
    "ship",
    "validate",
    "bench",
    "analyze",
    "tune",
    "report",
    "lock",
    "verify",
    "bundle",
    "deploy",
    "calib",
    "inspect",
    "lint",
    "explain",
    "doctor",
    "device",
    "toolchain",
    "engine",
    "config",
    "trust",
    "cache",
)

#: Commands whose module has another name than they.
ELSEWHERE = {
    "attach": "engine",
    "build": "up",
    "diff": "inspect",
    "history": "report",
    "logs": "engine",
    "prune": "engine",
    "ps": "engine",
    "reproduce": "verify",
    "rollback": "ship",
    "shell": "engine",
    "stop": "engine",
}


#: What to do about what a system refuses.
HINTS = {
    errno.ENOENT: "Is the folder above it there, and may you write in it?",
    errno.EACCES: "May you write there? See: ls -ld",
    errno.EPERM: "May you write there? See: ls -ld",
    errno.EROFS: "That file system is read-only here: work in a copy of the folder.",
    errno.ENOSPC: "The disk is full: free some space, then run the same command again.",
    errno.EDQUOT: "Your share of the disk is used up.",
    errno.ENOTDIR: "A file stands where a folder is needed.",
    errno.ELOOP: "A link there leads to itself.",
    errno.EEXIST: "Something else stands in its place.",
    errno.EMFILE: "Too many files are open: ulimit -n 4096",
}


def _version(value: bool) -> None:
    if value:
        from orchestrator import __version__

        typer.echo(f"hefsmith {__version__}")
        raise typer.Exit


def build_app(argv: Sequence[str] = ()) -> typer.Typer:
    """Return the application with the command that ``argv`` names, or with every command."""
    app = typer.Typer(
        name="hef",
        help="Turn a trained PyTorch or ONNX model into a HEF that is proven on your Raspberry Pi.",
        epilog="Start with: hef init   or, to see it all once: hef up digits",
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )

    @app.callback()
    def options(
        context: typer.Context,
        debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
        lang: Annotated[
            str | None,
            typer.Option("--lang", help="Language, such as pt-BR; default: the environment's."),
        ] = None,
        version: Annotated[  # noqa: ARG001
            bool,
            typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
        ] = False,
    ) -> None:
        if debug:
            os.environ["HEFSMITH_DEBUG"] = "1"
        if lang is not None:
            from orchestrator.language import use

            use(lang)
        if context.invoked_subcommand is None:
            from orchestrator.cli.beginning import print_next_steps

            print_next_steps()

    word = command_of(argv)
    module = ELSEWHERE.get(word, word)
    if module in COMMAND_MODULES:
        import_module(f"orchestrator.cli.{module}").register(app)
        if word in names_in(app):
            return app
    for name in COMMAND_MODULES:
        if name != module:
            import_module(f"orchestrator.cli.{name}").register(app)
    for command in app.registered_commands:
        command.short_help = _brief((command.callback and command.callback.__doc__) or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.short_help = _brief(str(group.typer_instance.info.help))
    return app


def _brief(text: str) -> str:
    """Return a command's first sentence; a test holds each to the room in the list."""
    return text.strip().partition("\n")[0].partition(". ")[0].rstrip(".")


def command_of(argv: Sequence[str]) -> str:
    """Return the word of a command line that names its command, ``""`` where there is none."""
    rest = iter(argv)
    for word in rest:
        if word == "--lang":
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return ""


def language_first(argv: Sequence[str]) -> list[str]:
    """Return a command line with ``--lang`` before its command, wherever it was typed; pure."""
    words = list(argv)
    end = words.index("--") if "--" in words else len(words)
    for place, word in enumerate(words[:end]):
        if word.startswith("--lang="):
            return [word, *words[:place], *words[place + 1 :]]
        if word == "--lang" and place + 1 < end:
            return [*words[place : place + 2], *words[:place], *words[place + 2 :]]
    return words


def names_in(app: typer.Typer) -> set[str]:
    """Return the names of the commands and groups that are registered."""
    commands = {
        one.name or one.callback.__name__ for one in app.registered_commands if one.callback
    }
    return commands | {str(one.name) for one in app.registered_groups}


def _terminate(signum: int, frame: object) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors become one message on stderr."""
    argv = language_first(argv)
    debug = "--debug" in argv or bool(os.environ.get("HEFSMITH_DEBUG"))
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _terminate)
    # Looking for plug-ins of pydantic reads the metadata of every package there is.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    spare_adapters()
    speak_plainly(sys.stdout, sys.stderr)
    try:
        outcome = _carry_out(argv)
    except SystemExit as leave:
        if _was_interrupted(leave):
            print(_interrupted(argv), file=sys.stderr)
        return _as_code(leave.code)
    except HefsmithError as error:
        if debug:
            raise
        return _tell(error, argv)
    except ModuleNotFoundError as error:
        missing = _from_missing(error)
        if debug or missing is None:
            raise
        return _tell(missing, argv)
    except KeyboardInterrupt:
        print(_interrupted(argv), file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (`hef inspect x | head`): nothing to tell it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if debug or error.strerror is None:
            raise
        return _tell(_from_system(error), argv)
    except RuntimeError as error:
        looped = error.__context__  # pathlib's way, up to Python 3.12, to tell of such a link
        if debug or not isinstance(looped, OSError) or looped.errno != errno.ELOOP:
            raise
        return _tell(_from_system(looped), argv)
    return _as_code(outcome)


def _was_interrupted(leave: BaseException) -> bool:
    """Tell whether the command line's library left because of Ctrl-C, which it says nothing of."""
    seen: BaseException | None = leave
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _carry_out(argv: Sequence[str]) -> object:
    if not argv and "_HEF_COMPLETE" in os.environ:
        from orchestrator.cli.completion import answer

        return answer(build_app())
    if not argv:
        from orchestrator.cli.beginning import print_next_steps

        print_next_steps()
        return None
    return build_app(argv)(list(argv), standalone_mode=True)


#: Commands that go on where they were stopped.
_RESUMED = frozenset({"up", "build", "analyze", "tune"})


def _interrupted(argv: Sequence[str]) -> str:
    """Return what to say when somebody stopped a command: what is kept of it."""
    word = command_of(argv)
    if word in _RESUMED:
        return "interrupted: finished stages are kept, and the same command goes on from there"
    return "interrupted"


def _tell(error: HefsmithError, argv: Sequence[str]) -> int:
    from orchestrator.cli.output import print_error

    if isinstance(error, Interrupted) and error.message == "interrupted" and "--json" not in argv:
        print(_interrupted(argv), file=sys.stderr)
        return int(error.exit_code)
    print_error(error, as_json="--json" in argv)
    return int(error.exit_code)


def _from_missing(error: ModuleNotFoundError) -> HefsmithError | None:
    """Return what a module of an extra is missing for, ``None`` for a fault of our own."""
    from orchestrator.installation import EXTRA_OF, install_command

    name = (error.name or "").partition(".")[0]
    if name not in EXTRA_OF:
        return None
    return ConfigError(
        f"this needs the Python package {name}, which is not installed",
        hint=install_command(EXTRA_OF[name]),
        code="install.extra",
    )


def _from_system(error: OSError) -> HefsmithError:
    """Return what the system refused in words: a folder may be somebody else's, a disk full."""
    places = [str(place) for place in (error.filename, error.filename2) if place is not None]
    where = " -> ".join(escape_control(place) for place in places)
    hint = HINTS.get(error.errno or 0, "--debug before the command shows where it happened.")
    if error.errno == errno.EROFS and _is_result(places):
        hint = (
            "That file system is read-only here: work in a copy of the folder, or name "
            "another one for the results: HEFSMITH_ARTIFACTS=FOLDER"
        )
    if not where and error.errno == errno.ENOENT and _is_nowhere():
        msg = "the folder that this shell is in has been removed"
        return ConfigError(msg, hint="Go to another one first, with: cd", code="system")
    if not where and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = _fullest()  # writing to an open file names none
    message = f"{where}: {error.strerror}" if where else str(error.strerror)
    return ConfigError(message, hint=hint, code="system")


def _is_result(places: Sequence[str]) -> bool:
    """Tell whether a path lies in the folder of the results, which may be another one."""
    from pathlib import Path

    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    try:
        workspace = open_workspace()
        artifacts = resolve(workspace).artifacts_of(workspace).resolve()
        return any(Path(one).resolve().is_relative_to(artifacts) for one in places)
    except (HefsmithError, OSError, ValueError):
        return False


def _is_nowhere() -> bool:
    """Tell whether the working folder is gone."""
    from pathlib import Path

    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _fullest() -> str:
    """Return that of the folders which are written to whose disk has least room, and how much."""
    import tempfile
    from pathlib import Path

    from orchestrator import paths
    from orchestrator.files import free_at

    folders = [Path.cwd() / "artifacts", Path(tempfile.gettempdir())]
    folders += [paths.user_cache(), paths.user_data()]
    free = {folder: free_at(folder) for folder in folders}
    folder = min(folders, key=lambda one: free[one])
    return f"{escape_control(str(folder))} ({free[folder] / 1e6:.1f} MB free)"


def _as_code(code: object) -> int:
    if code is None:
        return 0
    return code if isinstance(code, int) else int(ExitCode.STAGE_FAILED)

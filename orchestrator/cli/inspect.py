"""``hef inspect`` and ``hef diff``: look into HEF and other network files on any machine."""

from __future__ import annotations

import os
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from orchestrator.cli.arguments import Json  # noqa: TC001 (typer reads it)
from orchestrator.errors import ArtifactError, ConfigError, ExitCode, HefsmithError, escape_control
from orchestrator.language import told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

    from orchestrator.hef import Compatibility, Examination
    from orchestrator.inspect.source_files import SourceFile

    class Show(Protocol):
        """Makes what a person sees of one file; a frame is for terminals."""

        def __call__(self, *, framed: bool) -> RenderableType:
            """Return it."""
            ...


_SUFFIXES = (".hef", ".onnx", ".har")
#: HEFs of a model that a hint names.
_SHOWN = 6


def register(app: typer.Typer) -> None:
    """Add ``inspect`` and ``diff``."""
    app.command(
        "inspect",
        epilog="Example: hef inspect yolov8n.hef --for hailo8l --hailort 4.20.0",
    )(inspect)
    app.command("diff", epilog="Example: hef diff old.hef new.hef")(diff)


def inspect(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="HEF, ONNX or HAR files, or folders of them."),
    ],
    as_json: Json = False,
    vendor: Annotated[
        bool, typer.Option("--vendor", help="Print exactly what hailortcli parse-hef prints.")
    ] = False,
    parse_streams: Annotated[
        bool, typer.Option("--parse-streams", help="With --vendor: the chip's streams too.")
    ] = False,
    chip: Annotated[
        str | None,
        typer.Option("--for", metavar="CHIP", help="Will it run there? (hailo8l, hailo10h...)"),
    ] = None,
    hailort: Annotated[
        str | None,
        typer.Option("--hailort", metavar="VERSION", help="With --for: the device's HailoRT."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compute every checksum.")
    ] = True,
) -> None:
    """Show what is in a HEF, ONNX, HAR, checkpoint or TFLite file. A HEF is checked, too.

    No Hailo software is needed. Exit code 6 when a file is damaged or does not run there.
    """
    if vendor and (as_json or chip is not None):
        other = "--json" if as_json else "--for"
        message = f"--vendor prints what hailortcli prints, so {other} has no effect there"
        raise ConfigError(message, hint=f"Leave one out: --vendor or {other}")
    if parse_streams and not vendor:
        message = "--parse-streams needs --vendor"
        raise ConfigError(message, hint="For example: --vendor --parse-streams")
    if hailort is not None and chip is None:
        message = "--hailort needs --for"
        raise ConfigError(message, hint="For example: --for hailo8l --hailort 4.20.0")
    if vendor:
        _print_like_vendor(files, parse_streams=parse_streams, verify=verify)
        return
    from orchestrator.inspect.source_files import is_source

    several = len(files) > 1 or (files[0].is_dir() and not is_source(files[0]))
    if chip is not None and not several:
        _refuse_other(files[0], chip)
    reports = [
        _report(path, chip, hailort, verify=verify, several=several) for path in _files(files)
    ]
    if as_json:
        _print_json(reports, several=several)
    else:
        _print_panels(reports)
    if not all(report.good for report in reports):
        raise typer.Exit(int(ExitCode.ARTIFACT))


def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A HEF, or a build.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    as_json: Json = False,
) -> None:
    """Show what changed between two HEFs. Exit code 0 when nothing did, else 1.

    Builds of the same inputs that give the same numbers (60 dB) count as the same, whatever
    their bytes.
    """
    _print_diff(_existing(before, builds=True), _existing(after, builds=True), as_json=as_json)


class _Report:
    """One file, read: how it looks as JSON and for people, and whether all is well."""

    def __init__(self, document: Mapping[str, object], show: Show, *, good: bool) -> None:
        self.document = document
        self.show = show
        self.good = good


def _refuse_other(path: Path, chip: str) -> None:
    """Refuse to say of a file that is no HEF whether it runs on a chip."""
    from orchestrator.inspect.source_files import is_source

    if is_source(path) or (path.is_file() and path.suffix.lower() in (".onnx", ".har")):
        name = escape_control(path.name)
        message = f"--for asks where a HEF runs, and {name} is not compiled yet"
        named = shlex.quote(escape_control(str(path)))
        hint = (
            f"What a build would say of it: hef lint {named} --arch {shlex.quote(chip)}"
            if path.suffix.lower() == ".onnx"
            else f"Leave --for out: hef inspect {named}"
        )
        raise ConfigError(message, hint=hint)


def _existing(path: Path, *, builds: bool = False) -> Path:
    """Refuse a path where nothing is; ``builds`` may be meant by their names."""
    try:
        path.lstat()
    except (OSError, ValueError) as error:
        message = f"no such file or folder: {escape_control(str(path))}"
        built = _built(path)
        if built:
            message = f"{escape_control(path.name)} is a model here, and no file"
        hint = built or (
            "Builds by their names: hef report --compare MODEL~1 MODEL" if builds else None
        )
        raise ConfigError(message, hint=hint, code="file.missing") from error
    return path


def _built(named: Path) -> str:
    """Say which HEFs a model of this project has; nothing where the name is none of a model."""
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    if len(named.parts) != 1:
        return ""
    try:
        workspace = open_workspace()
        known = named.name in workspace.model_names()
        results = resolve(workspace).artifacts_of(workspace)
    except (HefsmithError, OSError, ValueError):
        return ""
    folder = results / named.name
    if not known and not folder.is_dir():
        return ""
    here = Path.cwd()
    hefs = [Path(os.path.relpath(one, here)) for one in sorted(folder.glob("*/*.hef"))]
    shown = [escape_control(one.as_posix()) for one in hefs[:_SHOWN]]
    name = escape_control(named.name)
    if not shown:
        return f"Build it first: hef build {name}"
    said = f"Its HEFs: {', '.join(shown)}"
    if any(folder.glob(".history/*/*")):
        said += f"\nOr two of its builds: hef report --compare {name}~1 {name}"
    return said


def _files(paths: list[Path]) -> Iterator[Path]:
    from orchestrator.inspect.source_files import SAVED_MODEL

    for path in map(_existing, paths):
        if not path.is_dir() or (path / SAVED_MODEL).is_file():
            yield path
            continue
        found = sorted(item for item in path.iterdir() if item.suffix.lower() in _SUFFIXES)
        if not found:
            message = f"no HEF, ONNX or HAR files were found in {escape_control(str(path))}"
            raise ConfigError(message, code="file.none")
        yield from found


def _report(
    path: Path, chip: str | None, hailort: str | None, *, verify: bool, several: bool
) -> _Report:
    from orchestrator.hef import HefError
    from orchestrator.inspect.source_files import is_source

    try:
        if not is_source(path) and path.suffix.lower() not in (".onnx", ".har"):
            return _hef_report(path, chip, hailort, verify=verify)
        try:
            return _source_report(path) if is_source(path) else _model_report(path)
        except ArtifactError as error:
            from orchestrator.inspect.mistaken import mistaken

            raise mistaken(path, error) from error
    except ArtifactError as error:
        if not several:
            raise
        # One file that cannot be read does not hide the others.
        from orchestrator.hef.document import error_document

        said: dict[str, object] = {"code": error.code, "message": error.message, "hint": error.hint}
        if isinstance(error, HefError):
            said = error_document(error)
        document = {"file": escape_control(path.name), "error": said}
        return _Report(document, partial(_show_error, path.name, error), good=False)


def _show_error(name: str, error: ArtifactError, *, framed: bool) -> RenderableType:
    from rich.text import Text

    from orchestrator.hef.render import panel

    text = Text(told(error.message), style="red")
    if error.hint:
        text.append(f"\n{escape_control(told(error.hint))}", style="dim")
    return panel(Text(escape_control(name), style="bold"), [text], style="red", framed=framed)


def _hef_report(path: Path, chip: str | None, hailort: str | None, *, verify: bool) -> _Report:
    from orchestrator.hef import examine_hef
    from orchestrator.hef.document import compatibility_document, examination_document

    examination = examine_hef(path, verify=verify)
    answer = None if chip is None else _compatibility(examination, chip, hailort)
    document = examination_document(examination)
    if answer is not None:
        document["compatibility"] = compatibility_document(answer)
    good = not examination.problems and (answer is None or answer.runs)
    return _Report(document, partial(_show_hef, examination, answer), good=good)


def _show_hef(
    examination: Examination, answer: Compatibility | None, *, framed: bool
) -> RenderableType:
    from orchestrator.hef.render import render_examination

    return render_examination(examination, answer, framed=framed, say=told)


def _compatibility(examination: Examination, chip: str, hailort: str | None) -> Compatibility:
    from dataclasses import replace

    from orchestrator.hef import Reason, check_compatibility

    hef = examination.hef
    faults = tuple(
        Reason(problem.code, problem.message, problem.status, problem.hint)
        for problem in examination.problems
    )
    if hef is None:
        from orchestrator.hef import Compatibility

        return Compatibility(chip.upper(), hailort, faults, ())
    answer = check_compatibility(hef, chip=chip, hailort=hailort)
    refused = {reason.code for reason in answer.refusals}
    more = tuple(
        fault
        for fault in faults
        if fault.code not in refused and not ("damaged" in refused and fault.status in (0, 91))
    )
    return replace(answer, refusals=answer.refusals + more)


def _model_report(path: Path) -> _Report:
    if path.suffix.lower() == ".har":
        from orchestrator.inspect.har import har_document, read_har, render_har

        har = read_har(path)
        return _Report(har_document(har), partial(render_har, har, say=told), good=True)
    from hefsmith_worker.contract.families import proposed_cut

    from orchestrator.inspect.compiler import judge
    from orchestrator.inspect.onnx_file import read_onnx
    from orchestrator.inspect.onnx_report import onnx_document, render_onnx
    from orchestrator.pipeline.linting import find_head

    model = read_onnx(path)
    head = find_head(path)
    judged = judge(path, end_nodes=proposed_cut(head) if head else ())
    document = {**onnx_document(model, head, judged), "head": head}
    return _Report(document, partial(render_onnx, model, head, judged, say=told), good=True)


def _source_report(path: Path) -> _Report:
    from orchestrator.inspect.source_files import describe_source

    source = describe_source(path)
    document = {
        "file": escape_control(path.name),
        "kind": source.kind,
        "facts": [[name, escape_control(value)] for name, value in source.facts],
        "next": escape_control(source.command),
    }
    return _Report(document, partial(_show_source, path.name, source), good=True)


def _show_source(name: str, source: SourceFile, *, framed: bool) -> RenderableType:
    from rich.text import Text

    from orchestrator.hef.render import Facts, panel

    facts = Facts(told)
    facts.add("what", source.kind)
    for what, value in source.facts:
        facts.add(what, value)
    facts.add("build it", Text(escape_control(source.command)))
    title = Text(escape_control(name), style="bold")
    return panel(title, [facts], style="blue", framed=framed)


def _print_json(reports: list[_Report], *, several: bool) -> None:
    from orchestrator.cli.output import emit_json

    documents = [report.document for report in reports]
    emit_json(documents if several else documents[0])


def _print_panels(reports: list[_Report]) -> None:
    import sys
    from io import TextIOWrapper

    from rich.console import Console

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # A pipe gets the width that the content needs, so that no name is folded.
    framed = sys.stdout.isatty()
    console = Console(width=None if framed else 1000, highlight=False)
    for report in reports:
        with console.capture() as capture:
            console.print(report.show(framed=framed))
        lines = capture.get().splitlines()
        # Without a frame Rich's filling to the right is only noise.
        sys.stdout.write("".join(f"{line if framed else line.rstrip()}\n" for line in lines))


def _print_like_vendor(files: list[Path], *, parse_streams: bool, verify: bool) -> None:
    for path in map(_existing, files):
        if not path.is_dir():
            _print_vendor_text(path, parse_streams=parse_streams, verify=verify)
            continue
        # The order in which the system lists a folder, as the vendor's tool has it.
        with os.scandir(path) as entries:
            found = [
                entry.name
                for entry in entries
                if entry.name.endswith(".hef") and entry.is_file(follow_symlinks=False)
            ]
        folder = str(path)
        folder = folder if folder.endswith(os.sep) else folder + os.sep
        for name in found:
            _write("*" * 80 + "\n" + f"Parsing {folder}{name}:\n")
            _print_vendor_text(Path(folder) / name, parse_streams=parse_streams, verify=verify)
        if not found:
            message = f"No HEF files were found in the directory: {escape_control(folder)}"
            raise ConfigError(message, code="file.none")


def _print_vendor_text(path: Path, *, parse_streams: bool, verify: bool) -> None:
    from orchestrator.cli.output import note
    from orchestrator.hef import examine_hef
    from orchestrator.hef.vendor import vendor_text

    examination = examine_hef(path, verify=verify)
    hef = examination.hef
    if hef is None or not examination.opens:
        raise examination.problems[0].in_file(path.name)
    _write(vendor_text(hef, parse_streams=parse_streams))
    for problem in examination.problems:
        note(f"warning: {examination.name}: {problem.message} (HailoRT does not check this)")


def _write(text: str) -> None:
    """Write the vendor's text: byte for byte into a pipe, harmless on a terminal."""
    import sys

    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None or sys.stdout.isatty():
        lines = text.split("\n")
        sys.stdout.write("\n".join(escape_control(line) for line in lines))
    else:
        buffer.write(text.encode("utf-8"))
        buffer.flush()


def _hef_of(path: Path) -> Path:
    """Return the HEF that is meant: a folder means the build in it."""
    if not path.is_dir():
        return path
    from orchestrator.pipeline.finished.builds import read_build

    build = read_build(path)
    if build is None:
        message = f"there is no finished build in {escape_control(str(path))}"
        raise ConfigError(message, hint="Name two HEFs, or two build folders.", code="file.none")
    return build.hef


def _print_diff(before: Path, after: Path, *, as_json: bool) -> None:
    from dataclasses import replace

    from orchestrator.cli.output import emit_json, print_result
    from orchestrator.hef import compare_hefs, read_hef
    from orchestrator.pipeline.finished.kinship import relate_files

    before, after = _hef_of(before), _hef_of(after)
    changes = compare_hefs(read_hef(before), read_hef(after))
    kin = relate_files(before, after)
    if kin is not None and not kin.same_inputs:
        kin = replace(kin, difference_db=None)
    if as_json:
        emit_json(
            {
                "a": str(before),
                "b": str(after),
                "same": not changes,
                "made": None if kin is None else kin.to_json(),
                "changes": [
                    {
                        "where": escape_control(change.where),
                        "what": change.what,
                        "a": escape_control(change.before),
                        "b": escape_control(change.after),
                    }
                    for change in changes
                ],
            }
        )
    else:
        if kin is not None and kin.same_inputs and not kin.same_bytes:
            print_result(kin.words)
        where = None
        for change in changes:
            if change.where != where:
                where = change.where
                print_result(escape_control(where))
            old, new = escape_control(change.before), escape_control(change.after)
            print_result(f"  {change.what}: {old} -> {new}")
    if changes and not (kin is not None and kin.same_inputs and kin.same_numbers):
        raise typer.Exit(1)

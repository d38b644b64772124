"""``hef device check``: does a device do what we think it does?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestrator.cli.arguments import Json  # noqa: TC001 (typer reads it)
from orchestrator.cli.contact_output import check_output, tell_report
from orchestrator.cli.output import note
from orchestrator.errors import ExitCode, HefsmithError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.contact_report import ContactReport, Row, State
    from orchestrator.device.base import DeviceSpec, Identity
    from orchestrator.device.session import SshSession
    from orchestrator.device.validation import Api
    from orchestrator.diagnose.doctor.checks import Result
    from orchestrator.pipeline.finished.builds import Build

#: Both of HailoRT's interfaces, by the words of ``hef validate --api``.
_INTERFACES: Final[tuple[tuple[Api, str], ...]] = (
    ("infer_model", "InferModel"),
    ("vstreams", "InferVStreams"),
)

#: Numbers of the device and of the quantised network differ by at most so much of their range.
_CLOSE = 0.02


def check(
    name: Annotated[str | None, typer.Argument(help="A device; default: the only one.")] = None,
    run: Annotated[
        bool, typer.Option("--run/--no-run", help="Also run a small network there.")
    ] = True,
    engine: Annotated[
        str | None, typer.Option(help="Where that network is built: auto, docker, local, a name.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the report is written.")
    ] = Path("contact-report.json"),
    as_json: Json = False,
) -> None:
    """Run a small network on a device and compare the numbers.

    The report has nothing private in it: attach it when you report a fault.
    """
    check_output(output)
    report = look(name, run=run, engine=engine)
    tell_report(report, output, as_json=as_json)
    if not report.works:
        raise typer.Exit(int(ExitCode.DEVICE))


def look(name: str | None, *, run: bool, engine: str | None = None) -> ContactReport:
    """Return all that was found of one device; the small network is built on ``engine``."""
    from orchestrator.cli.devices import ask_password, by_argument, choose_device
    from orchestrator.cli.doctor import device_results
    from orchestrator.contact_report import ContactReport
    from orchestrator.pipeline.device_pool import open_pool

    with by_argument("hef device check"):
        spec = choose_device(name)
    note(f"looking at {spec.name}")
    rows = [_as_row(one) for one in device_results(spec.name)]
    versions: dict[str, str] = {}
    private = [spec.host or "", spec.user or "", spec.name]
    if not any(row.check == "connection" for row in rows):
        with open_pool().connect(spec, password=ask_password) as session:
            identity = session.identify()
            versions = _versions(identity)
            private += [identity.hostname or "", "" if identity.emulated else identity.serial or ""]
            # A command line may hold anything, a password of a camera for one.
            commands = [one.command.partition(" ")[2].strip() for one in identity.holders or ()]
            private += commands
            # Where somebody keeps an environment may tell of whom and what it is.
            private += [identity.binding_place or ""]
            rows += _known(rows, identity)
            rows += _runs(session, spec, identity, engine) if run else []
    return ContactReport(
        subject="device", versions=versions, rows=tuple(rows), private=tuple(private)
    )


def _as_row(result: Result) -> Row:
    from orchestrator.contact_report import Row

    states: dict[str, State] = {"ok": "ok", "info": "ok", "warning": "warning", "error": "error"}
    finding = result.finding
    state = states[finding.severity]
    return Row(
        # Numbers of failures in doctor's titles only make the column wide.
        check=result.title.partition(" (R")[0],
        state=state,
        found=" / ".join(finding.message.splitlines()),
        fix=finding.fix if state != "ok" else "",
    )


def _versions(identity: Identity) -> dict[str, str]:
    from orchestrator import __version__

    known = {
        "chip": identity.chip,
        "hailort": identity.hailort,
        "driver": identity.driver_version,
        "firmware": identity.firmware,
        "binding": identity.binding_version,
        "numpy": identity.numpy_version,
        "python": identity.python_version,
        "system": identity.os_name,
        "kernel": identity.kernel,
        "board": identity.board_model,
        "hefsmith": __version__,
    }
    return {key: value for key, value in known.items() if value}


def _known(rows: Sequence[Row], identity: Identity) -> Iterator[Row]:
    """Yield what doctor has no word about where it is good, or could not be asked."""
    from orchestrator.contact_report import Row

    link, celsius = identity.pcie, identity.temperature_c
    good = {
        "Firmware and driver": identity.firmware,
        "numpy": identity.numpy_version,
        "PCIe link": f"generation {link.generation}" if link and link.generation else None,
        "Power supply": None,
        "Temperature": None if celsius is None else f"{celsius:.0f} C",
    }
    for title, found in good.items():
        if not any(row.check.startswith(title) for row in rows):
            state: State = "not asked" if found is None else "ok"
            unsaid = "the device did not say"
            if title == "numpy" and identity.python_version is not None:
                unsaid = "Python there does not load it, and the binding needs it"
            yield Row(check=title, state=state, found=found or unsaid)
    yield from _memory(identity)


def _memory(identity: Identity) -> list[Row]:
    from orchestrator.contact_report import Row

    free = identity.memory_free
    if free is None:
        return [Row(check="memory", state="not asked", found="")]
    text = f"{free / 1e6:.0f} MB free"
    if free < 200e6:
        fix = "Close programs there, or add swap: a job needs some hundred MB."
        return [Row(check="memory", state="warning", found=text, fix=fix)]
    return [Row(check="memory", state="ok", found=text)]


def _runs(
    session: SshSession, spec: DeviceSpec, identity: Identity, engine: str | None
) -> Iterator[Row]:
    """Run the small network by each interface, then measure a rate."""
    from orchestrator.cli.toolchain_check import EMULATOR, build_probe, write_probe
    from orchestrator.contact_report import Row
    from orchestrator.device.contact import ask_binding
    from orchestrator.device.services import service_stopped
    from orchestrator.files import scratch
    from orchestrator.pipeline.finished.builds import read_build

    title = "a small network"
    chip = identity.chip
    toolchain = EMULATOR if identity.emulated else _toolchain_for(chip)
    if chip is None or toolchain is None:
        what = "the chip did not say what it is" if chip is None else f"no compiler for {chip}"
        fix = "Import Hailo's compiler: hef toolchain import FILE" if chip else ""
        yield Row(check=title, state="not asked", found=what, fix=fix)
        return
    with scratch("hefsmith-contact") as folder:
        project = write_probe(folder / "project", chip)
        note(f"building a small network for {chip}")
        made = build_probe(project, title, toolchain, _address(engine))
        build = read_build(project / "artifacts" / "probe" / chip)
        yield made
        if made.state == "error" or build is None:
            return
        with service_stopped(session, spec.service):
            note("asking HailoRT's binding")
            yield from ask_binding(session, build.hef)
            for api, shown in _INTERFACES:
                note(f"running it by {shown}")
                yield _run(session, build, api, shown)
            yield _rate(session, build)


def _address(engine: str | None) -> str | None:
    """Return an engine as the small network's project knows it, which has no names of engines."""
    from orchestrator.cli.doctor import named_engines

    return None if engine is None else named_engines().get(engine, engine)


def _toolchain_for(chip: str | None) -> str | None:
    from orchestrator.toolchain import registry

    return next((one.name for one in registry.load_all() if chip in one.chips), None)


def _run(session: SshSession, build: Build, api: Api, shown: str) -> Row:
    """Run the golden samples and compare them with the quantised network's."""
    from orchestrator.contact_report import Row
    from orchestrator.pipeline.validation import run_build

    title = f"run by {shown}"
    try:
        run, distance = run_build(session, build, api)
    except HefsmithError as error:
        return Row(check=title, state="error", found=error.message, fix=error.hint or "")
    if not run.complete:
        words = "; ".join([*run.trouble.values(), *run.errors[:1]])
        kind = next(iter(run.trouble))
        fix = _explained([*run.errors, *run.trouble.values()])
        # The older interface does not exist on every chip; the other row counts then.
        state: State = "warning" if api == "vstreams" and kind in ("api", "runtime") else "error"
        return Row(check=title, state=state, found=words, fix=fix)
    found = f"{run.samples} samples, at most {100 * distance:.2f} % of the range off"
    if "unstable" in run.trouble:
        return Row(check=title, state="warning", found=f"{found}; {run.trouble['unstable']}")
    if distance > _CLOSE:
        fix = "The device gives other numbers than the compiler's own: compare versions above."
        return Row(check=title, state="error", found=found, fix=fix)
    return Row(check=title, state="ok", found=found)


def _explained(lines: Sequence[str]) -> str:
    """Return what to do about what HailoRT said, where that is known."""
    from orchestrator.diagnose.explain import explain_failure

    found = explain_failure(lines)[0]
    return found.remedy if found.severity == "fatal" else "hef explain FILE, with HailoRT's log"


def _rate(session: SshSession, build: Build) -> Row:
    from orchestrator.contact_report import Row
    from orchestrator.device.benchmark import BenchOptions, run_benchmark

    options = BenchOptions(seconds=2.0, warmup=0.5, cli=False, image=None)
    try:
        result = run_benchmark(session, build.hef, device=session.spec.name, options=options)
    except HefsmithError as error:
        return Row(check="rate", state="warning", found=error.message, fix=error.hint or "")
    rates: Sequence[float] = [rate.fps for rate in result.rates]
    text = f"{max(rates):.0f} pictures a second" if rates else "measured, without a figure"
    word = " (emulated: of this computer)" if result.emulated else ""
    return Row(check="rate", state="ok", found=text + word)

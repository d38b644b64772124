"""``hef ship`` and ``hef rollback``: bring a build to devices, and go back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from orchestrator.cli.arguments import Json, Model  # noqa: TC001 (typer reads them)
from orchestrator.cli.output import emit_json, note, print_result
from orchestrator.errors import ConfigError, escape_control

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.device.base import DeviceSpec, Identity, Release, ShipResult
    from orchestrator.device.fleet import VisitResult
    from orchestrator.device.session import SshSession
    from orchestrator.device.ship import RollbackResult, ShipEvent
    from orchestrator.pipeline.finished.builds import Build

    Told = TypeVar("Told", ShipResult, RollbackResult)

Devices = Annotated[
    list[str] | None,
    typer.Option("--device", "-d", help="Names or groups, with commas or repeated; 'all'."),
]
Jobs = Annotated[int, typer.Option("--connections", min=1, help="Devices at a time.")]


def register(app: typer.Typer) -> None:
    """Add ``ship`` and ``rollback`` to the application."""
    app.command("ship", epilog="Example: hef ship digits --device pi5,garage")(_ship)
    app.command("rollback", epilog="Example: hef rollback digits --device pi5")(_rollback)


def _ship(
    model: Model,
    device: Devices = None,
    arch: Annotated[
        str | None, typer.Option("--arch", help="Which build; else the one for each device's chip.")
    ] = None,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Releases to keep on the device.")
    ] = None,
    connections: Jobs = 16,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; connect to nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ship a model's build to one or more devices. What is there is not sent again."""
    from orchestrator.cli.devices import (
        FleetView,
        ask_password,
        choose_devices,
    )
    from orchestrator.device.fleet import run_fleet
    from orchestrator.device.ship import ship
    from orchestrator.files import scratch
    from orchestrator.pipeline.device_pool import open_pool
    from orchestrator.pipeline.devices import release_of

    specs = choose_devices(device or [])
    builds = find_builds(model, arch)
    with scratch("hefsmith-ship") as folder:
        releases = {build.arch: release_of(build, folder / build.arch) for build in builds}
        if dry_run:
            _show_plan(specs, list(releases.values()), as_json=as_json)
            return
        if not all(spec.about.lasting for spec in specs):
            passing = " and ".join(spec.name for spec in specs if not spec.about.lasting)
            note(f"The {passing} device lives as long as this command; a Pi: hef device add")
        with FleetView(specs, title=f"shipping {escape_control(model)}") as view:
            outcomes = run_fleet(
                open_pool(),
                specs,
                _work(ship, releases, keep, view.on_event),
                connections=connections,
                password=ask_password,
                on_end=view.on_end,
            )
    _tell(outcomes, _line, as_json=as_json)


def _rollback(
    model: Model,
    device: Devices = None,
    connections: Jobs = 16,
    as_json: Json = False,
) -> None:
    """Go back to the previous release on the device. Its files are checked first."""
    from orchestrator.cli.devices import ask_password, choose_devices
    from orchestrator.device.fleet import run_fleet
    from orchestrator.device.ship import rollback
    from orchestrator.pipeline.device_pool import open_pool

    specs = choose_devices(device or [])
    outcomes = run_fleet(
        open_pool(),
        specs,
        lambda session: rollback(session, model),
        connections=connections,
        password=ask_password,
    )
    _tell(outcomes, _rolled_back, as_json=as_json)


def _tell(
    outcomes: Sequence[VisitResult[Told]], line: Callable[[Told], str], *, as_json: bool
) -> NoReturn:
    """Print what came of each device and leave with the code that says if any failed."""
    from orchestrator.cli.devices import exit_code_of, outcome_as_json
    from orchestrator.language import told

    if len(outcomes) == 1 and outcomes[0].error is not None:
        raise outcomes[0].error
    if as_json:
        emit_json(
            [outcome_as_json(one, one.result.to_json() if one.result else None) for one in outcomes]
        )
        raise typer.Exit(exit_code_of(outcomes))
    for outcome in outcomes:
        name = escape_control(outcome.spec.name)
        if outcome.result is not None:
            print_result(line(outcome.result))
            for text in getattr(outcome.result, "warnings", ()):
                note(f"warning: {name}: {escape_control(text)}")
        elif outcome.error is not None:
            message = outcome.error.message.removeprefix(f"{name}: ")
            print_result(f"{name}  FAILED  {message}")
            if outcome.error.hint:
                first, *rest = told(outcome.error.hint).splitlines()
                note(f"{told('hint')}: {name}: {first}")
                for text in rest:
                    note(f"      {text}")
    raise typer.Exit(exit_code_of(outcomes))


def find_builds(model: str, arch: str | None) -> list[Build]:
    """Return the finished builds of a model, one for each chip unless one is named.

    Their files are checked by digest, and put back from the cache where they are damaged; raises
    :class:`~orchestrator.errors.ArtifactError` where that cannot be done.
    """
    from orchestrator.pipeline.cache import StageCache
    from orchestrator.pipeline.digests import DigestMemory
    from orchestrator.pipeline.finished.builds import builds_in, find_build
    from orchestrator.pipeline.finished.soundness import require
    from orchestrator.project.settings import resolve
    from orchestrator.project.workspace import open_workspace

    workspace = open_workspace()
    settings = resolve(workspace)
    artifacts = settings.artifacts_of(workspace)
    folder = artifacts / model
    found = builds_in(folder) if arch is None else []
    cache = StageCache(settings.cache_folder)
    memory = DigestMemory(cache.root / "digests.json")
    if not found and not folder.is_dir():
        # A name that is no model's needs no build, but another name.
        workspace.recipe(model)
    chosen = found or [find_build(artifacts, model, arch)]
    return [require(build, cache, memory, note) for build in chosen]


def choose_release(releases: dict[str, Release], identity: Identity, device: str) -> Release:
    """Return the release for a device's chip: its own, else one that it takes too."""
    from hefsmith_worker.contract.chips import suitable_for

    if len(releases) == 1:
        return next(iter(releases.values()))
    for arch in suitable_for(identity.chip or ""):
        if arch in releases:
            return releases[arch]
    built = ", ".join(releases)
    msg = f"{device} has the chip {identity.chip or 'unknown'}; there are builds for {built}"
    raise ConfigError(msg, hint="Build for it: hef build MODEL --arch " + (identity.chip or "CHIP"))


def _work(
    ship: Callable[..., ShipResult],
    releases: dict[str, Release],
    keep: int | None,
    watch: Callable[[ShipEvent], None],
) -> Callable[[SshSession], ShipResult]:
    from orchestrator.device.release import list_release

    listings = {arch: list_release(release) for arch, release in releases.items()}

    def work(session: SshSession) -> ShipResult:
        spec = session.spec
        identity = session.identify(level="quick")
        release = choose_release(releases, identity, spec.name)
        return ship(
            session,
            release,
            keep=keep or spec.keep_releases,
            watch=watch,
            listing=listings[release.arch],
        )

    return work


def _show_plan(specs: Sequence[DeviceSpec], releases: Sequence[Release], *, as_json: bool) -> None:
    from orchestrator.device.release import list_release

    listings = [list_release(release) for release in releases]
    if as_json:
        emit_json(
            {
                "devices": [{"device": spec.name, "address": spec.address} for spec in specs],
                "releases": [{**listing.record, "release": listing.id} for listing in listings],
            }
        )
        return
    for listing in listings:
        print_result(f"release {listing.id[:12]} of {listing.release.model}, "
                     f"{listing.release.arch}")  # fmt: skip
        for entry in listing.files:
            print_result(f"  {entry.name:<36} {entry.bytes:>12,} bytes  {entry.sha256[:12]}")
    for spec in specs:
        target = f"~/.hefsmith/{releases[0].model}"
        print_result(f"{spec.name}  ssh {spec.address}: identify, check, send what is missing to")
        print_result(f"  {target}/incoming, make releases/ID, switch {target}/current")


def _rolled_back(result: RollbackResult) -> str:
    """Return the one line that tells what a rollback did."""
    before = (result.previous or "none")[:12]
    return f"{result.device}  {before} -> {result.release[:12]}"


def _line(result: ShipResult) -> str:
    """Return the one line that tells what a ship did."""
    what = "shipped" if result.changed else "unchanged"
    sent = f"{result.sent_bytes / 1e6:.1f} of {result.total_bytes / 1e6:.1f} MB sent"
    resumed = sum(file.bytes - file.sent_bytes for file in result.files if file.fate == "resumed")
    again = f", {resumed / 1e6:.1f} MB were there from before" if resumed else ""
    emulated = "  EMULATED" if result.emulated else ""
    return (
        f"{result.device}  {what}  {result.release[:12]}  {sent}{again}"
        f"  {result.seconds:.1f} s{emulated}  {result.folder}"
    )

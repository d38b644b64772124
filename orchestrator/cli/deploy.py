"""``hef deploy``: a model's camera program on the Pi, started with it and kept running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import Arch, Device, Json, Model  # noqa: TC001 (typer reads them)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from orchestrator.device.deploy import Service, ServiceManager, ServiceState
    from orchestrator.device.session import SshSession
    from orchestrator.pipeline.finished.builds import Build

#: What can be done with what is there, by its option.
ACTIONS = ("status", "log", "stop", "start", "remove")


def register(app: typer.Typer) -> None:
    """Add ``deploy`` to the application."""
    app.command("deploy", epilog="Example: hef deploy digits --device pi5 --web 8080")(_deploy)


def _deploy(
    model: Model,
    device: Device = None,
    arch: Arch = None,
    kind: Annotated[
        str, typer.Option("--as", help="service (starts with the Pi), or files (only copied).")
    ] = "service",
    source: Annotated[
        str, typer.Option("--source", help="picamera2, usb:0, rtsp://..., a file on the Pi.")
    ] = "picamera2",
    web: Annotated[
        str | None, typer.Option("--web", metavar="[HOST:]PORT", help="A page for browsers.")
    ] = None,
    mqtt: Annotated[
        str | None, typer.Option("--mqtt", help="Home Assistant's broker: mqtt://USER@HOST.")
    ] = None,
    score: Annotated[float | None, typer.Option("--score", help="Leave out boxes below.")] = None,
    size: Annotated[str | None, typer.Option("--size", help="Camera frame: WIDTHxHEIGHT.")] = None,
    status: Annotated[bool, typer.Option("--status", help="Only tell how it is.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Only show its last lines.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop it, also at the next start.")] = False,
    start: Annotated[bool, typer.Option("--start", help="Start it again.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Stop and remove it.")] = False,
    as_json: Json = False,
) -> None:
    """Put a model's camera program on the Pi and start it. Shows that it sees something.

    The environment's MQTT_PASSWORD goes along, into a file that only the Pi's user may read.
    """
    from dataclasses import replace

    from orchestrator.cli.proving import device_for
    from orchestrator.device.deploy import Service, ServiceManager
    from orchestrator.device.session import sharing
    from orchestrator.errors import ConfigError, escape_control

    if kind not in ("service", "files"):
        msg = f"--as: unknown way {escape_control(kind)!r}"
        raise ConfigError(msg, hint="Ways: service, files.")
    asked = dict(zip(ACTIONS, (status, log, stop, start, remove), strict=True))
    chosen = [name for name, is_asked in asked.items() if is_asked]
    if len(chosen) > 1:
        msg = "only one of these at a time: " + ", ".join(f"--{name}" for name in chosen)
        raise ConfigError(msg)
    if chosen:
        with _session_for(device) as session:
            manager = ServiceManager(session, Service(model=model))
            _act(manager, chosen[0], as_json=as_json)
        return
    arguments = [
        word
        for option, value in (("--score", score), ("--size", size))
        if value is not None
        for word in (option, str(value))
    ]
    service = Service(
        model=model, arguments=tuple(arguments), settings=_settings(source, web, mqtt)
    )
    with device_for(model, arch, device) as (session, build, _):
        service = replace(service, settings={**service.settings, **sharing(session.spec)})
        _put(session, build, service, only_files=kind == "files", as_json=as_json)


def _settings(source: str, web: str | None, mqtt: str | None) -> dict[str, str]:
    import os

    from orchestrator.device.deploy import MQTT, MQTT_PASSWORD, SOURCE, WEB

    password = os.environ.get("MQTT_PASSWORD") if mqtt else None
    given = {SOURCE: source, WEB: web, MQTT: mqtt, MQTT_PASSWORD: password}
    return {name: value for name, value in given.items() if value}


def _session_for(device: str | None) -> AbstractContextManager[SshSession]:
    from orchestrator.cli.devices import ask_password, choose_device
    from orchestrator.pipeline.device_pool import open_pool

    spec = choose_device(device)
    return open_pool().connect(spec, password=ask_password)


def _put(
    session: SshSession, build: Build, service: Service, *, only_files: bool, as_json: bool
) -> None:
    from orchestrator.cli.bundle import bundle_model
    from orchestrator.cli.output import emit_json, note, print_result
    from orchestrator.device.base import Release
    from orchestrator.device.bundle import plan_bundle
    from orchestrator.device.bundle_targets import TARGETS
    from orchestrator.device.deploy import ServiceManager, written
    from orchestrator.device.ship import ship

    content = bundle_model(build)
    with written(plan_bundle(content, TARGETS["picamera2"])) as files:
        release = Release(model=service.app, arch=build.arch, hef=content.hef_name, files=files)
        shipped = ship(session, release)
    for text in shipped.warnings:
        note(f"warning: {text}")
    folder = f"~/.hefsmith/{service.app}/current"
    if only_files:
        if as_json:
            emit_json({"device": session.spec.name, "folder": folder, "changed": shipped.changed})
            return
        print_result(f"{session.spec.name}  {folder}")
        note(f"there: python3 {folder}/live.py --check")
        return
    note(f"{session.spec.name}: files are there, starting {service.unit}")
    manager = ServiceManager(session, service)
    manager.install()
    _tell(session.spec.name, service, manager.wait(), as_json=as_json)


def _act(manager: ServiceManager, action: str, *, as_json: bool) -> None:
    from orchestrator.cli.output import emit_json, print_result
    from orchestrator.errors import escape_control

    service, name = manager.service, manager.device
    if action == "remove":
        manager.remove()
    elif action in ("stop", "start"):
        manager.state(0)
        getattr(manager, action)()
    if action in ("remove", "stop"):
        done = {"remove": "removed", "stop": "stopped"}[action]
        if as_json:
            emit_json({"device": name, "unit": service.unit, "done": done})
        else:
            print_result(f"{name}  {service.unit} is {done}")
        return
    state = manager.wait() if action == "start" else manager.state(200 if action == "log" else 8)
    if action == "log" and not as_json:
        for line in state.log:
            print_result(escape_control(line))
        return
    _tell(name, service, state, as_json=as_json)


def _tell(name: str, service: Service, state: ServiceState, *, as_json: bool) -> None:
    from dataclasses import asdict

    from orchestrator.cli.output import emit_json, note, print_result
    from orchestrator.errors import ExitCode, escape_control

    if as_json:
        emit_json({"device": name, **asdict(state), "works": state.works})
    elif state.works:
        rate = f"{state.rate:.1f} pictures a second" if state.rate else "the first picture is seen"
        print_result(f"{name}  {service.unit} runs: {rate}")
        if state.page:
            print_result(f"{name}  page: {escape_control(state.page)}")
        if not state.lingers:
            note("note: it starts when its user logs in; with the Pi itself after, there:")
            note("      sudo loginctl enable-linger $USER")
    else:
        print_result(f"{name}  {service.unit} {_trouble(state)}")
        for line in state.log:
            note(f"      {escape_control(line)}")
        note(f"hint: on {name}: python3 ~/.hefsmith/{service.app}/current/live.py --check")
    if not state.works:
        raise typer.Exit(int(ExitCode.STAGE_FAILED))


def _trouble(state: ServiceState) -> str:
    """Return what is wrong with a service that does not work."""
    from orchestrator.errors import escape_control

    if state.active == "active":
        return "runs, and has seen nothing yet"
    if state.active == "inactive":
        return "is stopped"
    if state.restarts:
        return f"ends again and again (started anew {state.restarts} times)"
    return f"is {escape_control(state.active)}"

"""``hef device``: add, trust, list, identify, remove."""

from __future__ import annotations

import re
from pathlib import Path  # noqa: TC003 (typer reads it)
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.arguments import Json  # noqa: TC001 (typer reads it)
from orchestrator.cli.output import emit_json, note, print_result
from orchestrator.errors import ConfigError, escape_control
from orchestrator.language import told

if TYPE_CHECKING:
    from orchestrator.device.base import DeviceSpec, Identity
    from orchestrator.device.trust import HostKey

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name here.")]


def register(app: typer.Typer) -> None:
    """Add the ``device`` commands to the application."""
    group = typer.Typer(help="Devices that a HEF is shipped to.", no_args_is_help=True)
    group.command("add", epilog="Example: hef device add pi5 pi@raspberrypi.local")(_add)
    group.command("trust", epilog="Example: hef device trust pi5")(_trust)
    group.command("list", epilog="Example: hef device list")(_list)
    group.command("identify", epilog="Example: hef device identify pi5")(_identify)
    from orchestrator.cli.device_check import check

    group.command("check", epilog="Example: hef device check pi5")(check)
    group.command("remove", epilog="Example: hef device remove pi5")(_remove)
    app.add_typer(group, name="device")


def _add(
    name: Name,
    address: Annotated[
        str, typer.Argument(metavar="[USER@]HOST[:PORT]", help="Or an alias of ~/.ssh/config.")
    ],
    identity: Annotated[
        Path | None, typer.Option("--identity", "-i", help="Private key; else agent and defaults.")
    ] = None,
    jump: Annotated[str | None, typer.Option("--jump", "-J", help="Jump host, as for ssh.")] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="Group; repeatable.")] = None,
    service: Annotated[
        str | None, typer.Option("--service", help="systemd unit to stop while the chip is needed.")
    ] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Other programs use the chip at the same time.")
    ] = False,
    python: Annotated[
        str, typer.Option("--python", help="Python on the device that has hailo_platform.")
    ] = "python3",
    password: Annotated[
        bool, typer.Option("--ask-password", help="Ask for a password at each connection.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an entry.")] = False,
    as_json: Json = False,
) -> None:
    """Note a device under a name. Nothing is sent to it yet."""
    from dataclasses import replace as changed

    from orchestrator.device import registry

    if jump is not None:
        registry.check_jump(jump)
    if service is not None:
        registry.check_service(service)
    registry.check_python(python)
    known = {name, *registry.read_user_devices()}
    for one in group or ():
        registry.check_group(one, known)
    spec = changed(
        registry.parse_address(address),
        name=name,
        identity_file=identity.expanduser().resolve() if identity else None,
        jump=jump,
        groups=tuple(group or ()),
        service=service,
        shared=shared,
        python=python,
        ask_password=password,
    )
    path = registry.save_user_device(spec, replace_existing=replace)
    if as_json:
        emit_json({"device": name, "address": spec.address, "file": str(path)})
        return
    print_result(f"{name}  {spec.address}")
    note(f"Next: hef device trust {name}")


def _trust(
    name: Name,
    fingerprint: Annotated[
        list[str] | None,
        typer.Option("--fingerprint", help="Accept only this one (SHA256:...); asks nothing."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The device was set up anew: forget its old key.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a device's host key, and trust it if you say so."""

    from orchestrator.device import trust
    from orchestrator.device.address import device_argument
    from orchestrator.device.faults import HostKeyChanged
    from orchestrator.pipeline.device_pool import open_pool

    for one in fingerprint or ():
        if re.fullmatch(r"(?:SHA256:)?[A-Za-z0-9+/]{43}=?", one.strip()) is None:
            msg = f"{escape_control(one)!r} is not a SHA256 fingerprint of a host key"
            line = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
            raise ConfigError(msg, hint=f"On the device: {line}  # SHA256:...")
    (spec,) = _exactly_one(name)
    if not spec.about.routed:
        print_result(f"the {spec.name} device makes its own keys; there is nothing to trust")
        return
    pool = open_pool()
    given, again = set(fingerprint or ()), device_argument(spec)
    for hop in pool.hops(spec):
        # A key is asked of a host behind others only when these are trusted.
        label, key = pool.host_key(hop)
        if not pool.trusts(hop, key):
            accepted = _matching(key, given)
            _trust_one(hop.name, label, key, again=again, replace=replace, accepted=bool(accepted))
            given -= accepted
    label, key = pool.host_key(spec)
    accepted = _matching(key, given)
    if given and not accepted:
        msg = f"{name}: {label} shows {key.get_fingerprint()}, not {escape_control(min(given))}"
        raise HostKeyChanged(msg, hint="Do not connect to it before you know why.")
    path = _trust_one(name, label, key, again=again, replace=replace, accepted=bool(accepted))
    if as_json:
        shown = key.get_fingerprint()
        emit_json({"device": name, "host": label, "fingerprint": shown, "file": str(path)})
        return
    print_result(f"{name}  {label}  {trust.fingerprint(key)}  trusted")


def _matching(key: HostKey, given: set[str]) -> set[str]:
    """Return which of the fingerprints given are this key's, with or without ``SHA256:``."""
    shown = key.get_fingerprint()
    return {one for one in given if one.strip() in (shown, shown.partition(":")[2])}


def _trust_one(
    name: str,
    label: str,
    key: HostKey,
    *,
    again: str,
    replace: bool,
    accepted: bool,
) -> Path:
    """Ask for one host key unless it is ``accepted``, and note it; return the file.

    ``again`` is what hef takes for the device.
    """
    import sys

    from orchestrator.cli.devices import known_devices
    from orchestrator.device import trust
    from orchestrator.device.faults import HostKeyChanged
    from orchestrator.device.registry import NAME

    shown = key.get_fingerprint()
    old = trust.known_fingerprints(label)
    if old and shown not in old and not replace:
        msg = (
            f"{name}: another key is trusted for {label}\n"
            f"  trusted: {', '.join(old)}\n  offered: {shown}"
        )
        raise HostKeyChanged(
            msg, hint=f"If it was installed again: hef device trust {again} --replace"
        )
    if not accepted and shown not in old:
        if not sys.stdin.isatty():
            msg = f"{name}: {label} shows {trust.fingerprint(key)}; no terminal to confirm it at"
            # Without it the key that is trusted now would be in the way.
            options = f"{'--replace ' if replace else ''}--fingerprint {shown}"
            raise ConfigError(msg, hint=f"hef device trust {again} {options}")
        note(f"{label} shows {trust.fingerprint(key)}")
        note("On the device: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
        if not typer.confirm(told("Is that the same?"), err=True):
            msg = f"{name}: not trusted"
            raise ConfigError(msg, code="device.not-trusted")
    comment = name if NAME.match(name) and name in known_devices().devices else "hefsmith"
    return trust.add_trust(label, key, comment=comment, replace=replace)


def _list(as_json: Json = False) -> None:
    """List the devices of this project and your own."""
    from orchestrator.cli.devices import known_devices
    from orchestrator.device.registry import read_user_devices

    registry, own = known_devices(), read_user_devices()
    rows = []
    for name, spec in sorted(registry.devices.items()):
        origin = "user" if own.get(name) == spec else "hef.yaml"
        groups = [group for group, members in registry.groups.items() if name in members]
        rows.append((name, spec, origin, sorted(groups)))
    if as_json:
        emit_json(
            [
                {
                    "name": name,
                    "address": spec.address,
                    "origin": origin,
                    "groups": groups,
                    "service": spec.service,
                    "jump": spec.jump,
                }
                for name, spec, origin, groups in rows
            ]
        )
        return
    for name, spec, origin, groups in rows:
        extra = f"  groups: {', '.join(groups)}" if groups else ""
        print_result(f"{name:<16} {spec.address:<32} {origin}{extra}")
    if not rows:
        note("No Pi is known yet. The embedded device is always there.")
        note("Add one: hef device add pi5 pi@raspberrypi.local")


def _identify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Devices or groups.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask devices for chip, versions, board and temperature. Free space and holders, too."""
    from orchestrator.cli.devices import (
        ask_password,
        by_argument,
        choose_devices,
        exit_code_of,
        outcome_as_json,
    )
    from orchestrator.device.fleet import run_fleet
    from orchestrator.pipeline.device_pool import open_pool

    with by_argument("hef device identify"):
        specs = choose_devices(names or [])
    outcomes = run_fleet(
        open_pool(), specs, lambda session: session.identify(), password=ask_password
    )
    if len(outcomes) == 1 and outcomes[0].error is not None:
        raise outcomes[0].error
    if as_json:
        documents = [
            outcome_as_json(one, one.result.to_json() if one.result else None) for one in outcomes
        ]
        emit_json(documents[0]["result"] if len(documents) == 1 else documents)
    else:
        for outcome in outcomes:
            if outcome.error is not None:
                note(f"error: {outcome.error.message}")
            elif outcome.result is not None:
                for line in describe_identity(outcome.spec, outcome.result):
                    print_result(line)
    raise typer.Exit(exit_code_of(outcomes))


def _remove(
    name: Name,
    forget_key: Annotated[
        bool, typer.Option("--forget-key", help="Do not trust its host key any more either.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Forget a device. Nothing is changed on it."""
    from orchestrator.device.connection import read_route
    from orchestrator.device.registry import remove_user_device
    from orchestrator.device.trust import forget

    spec = remove_user_device(name)
    if spec is None:
        msg = f"you have added no device {escape_control(name)!r}"
        raise ConfigError(msg, hint="Those of hef.yaml are removed there. See: hef device list")
    forgotten = forget_key and forget(read_route(spec).label)
    if as_json:
        emit_json({"removed": name, "key_forgotten": forgotten})
        return
    print_result(f"{name}  removed")


def _exactly_one(name: str) -> tuple[DeviceSpec, ...]:
    from orchestrator.cli.devices import known_devices

    specs = known_devices().resolve([name])
    if len(specs) != 1:
        msg = f"{escape_control(name)} is {len(specs)} devices; name one"
        raise ConfigError(msg)
    return specs


def describe_identity(spec: DeviceSpec, identity: Identity) -> list[str]:
    """Return an identity as lines for a person; all of it came from a device and is escaped."""
    lines = [f"{spec.name} ({spec.address}){'  EMULATED' if identity.emulated else ''}"]

    def add(label: str, *values: object) -> None:
        shown = "  ".join(escape_control(str(value)) for value in values if value not in (None, ""))
        if shown:
            lines.append(f"  {told(label):<12} {shown}")

    add("chip", identity.chip or told("none answers"), identity.product_name)
    add("serial", identity.serial)
    add("HailoRT", identity.hailort)
    add("driver", identity.driver_version, identity.driver_module)
    add("firmware", identity.firmware)
    binding = told(f"binding {identity.binding_version or 'missing'}")
    add("Python", identity.python_version, binding, f"numpy {identity.numpy_version or 'missing'}")
    if identity.versions_agree is not None:
        add("versions", told("agree" if identity.versions_agree else "DO NOT AGREE"))
    add("board", identity.board_model)
    add("system", identity.os_name, identity.kernel, identity.machine,
        identity.page_size and told(f"{identity.page_size // 1024} KB pages"))  # fmt: skip
    if identity.pcie is not None:
        add("PCIe", told(f"generation {identity.pcie.generation}, width x{identity.pcie.width}"))
    add("temperature", identity.temperature_c and f"{identity.temperature_c:.1f} C")
    if identity.throttled is not None:
        add("throttling", ", ".join(identity.throttled) or told("none since boot"))
    if identity.disk_free is not None:
        add("free disk", f"{identity.disk_free / 1e9:.1f} GB")
    for holder in identity.holders or ():
        add("held by", told(f"process {holder.pid}"), holder.command, holder.unit)
    if identity.model_zoo:
        add("model zoo", told(f"{len(identity.model_zoo)} HEF files"))
    for text in identity.notes:
        add("note", told(text))
    return lines

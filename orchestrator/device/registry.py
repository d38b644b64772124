"""Which devices there are: those of ``hef.yaml``, and those that ``hef device add`` noted.

A project's devices win over the user's of the same name. The user's are in ``devices.json`` of
the data folder, written whole or not at all.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import paths
from orchestrator.device.address import device_word
from orchestrator.device.base import BUILT_IN, DeviceSpec, unit_name
from orchestrator.errors import ConfigError, escape_control
from orchestrator.files import changing, write_atomic
from orchestrator.reading import TEXT_LIMIT, read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")

#: What ssh refuses in a host and in a user (a domain's user has a backslash within), and a path.
_NO_HOST = re.compile(r"""['`"$\\;&<>|(){},/]""")
_NO_USER = re.compile(r"""['`"$;&<>|(){},/]|\\\Z""")


@dataclass(frozen=True, kw_only=True)
class Registry:
    """All devices and groups by name."""

    devices: Mapping[str, DeviceSpec]
    groups: Mapping[str, tuple[str, ...]]

    def resolve(self, names: Sequence[str]) -> tuple[DeviceSpec, ...]:
        """Return the devices meant by names, groups, ``all`` and ``a,b,c``; each once.

        A name that nobody knows is an error, unless it has the shape of an address
        (``pi@raspberrypi.local``): then it is used as one.
        """
        found: dict[str, DeviceSpec] = {}
        for name in (part.strip() for text in names for part in text.split(",")):
            if name:
                found.update((spec.name, spec) for spec in self._meaning(name, ()))
        return tuple(found.values())

    def _meaning(self, name: str, within: tuple[str, ...]) -> Iterable[DeviceSpec]:
        if name in self.devices:
            return [self.devices[name]]
        if name in self.groups:
            if name in within:
                msg = f"the group {name} contains itself"
                raise ConfigError(msg, code="device.group-loop")
            inner = (*within, name)
            return [spec for member in self.groups[name] for spec in self._meaning(member, inner)]
        if name == "all":
            return list(self.devices.values())
        if name in BUILT_IN:
            return [BUILT_IN[name]]
        if "@" in name or "." in name or ":" in name:
            return [replace(parse_address(name), name=name)]
        raise self._unknown(name)

    def _unknown(self, name: str) -> ConfigError:
        known = [*self.devices, *self.groups, *BUILT_IN]
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"Did you mean {near[0]}? " if near else ""
        return ConfigError(
            f"there is no device {escape_control(name)!r}",
            hint=f"{meant}Known: {', '.join(sorted(known))}.\n"
            f"Add it: hef device add {escape_control(name)} pi@ADDRESS",
            code="device.unknown",
        )


def user_file() -> Path:
    """Return the file with the user's own devices."""
    return paths.user_data() / "devices.json"


def load_registry(
    devices: Mapping[str, DeviceSpec] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> Registry:
    """Return all devices; ``devices`` and ``groups`` are those of the project's ``hef.yaml``."""
    own = read_user_devices()
    merged = {**own, **(devices or {})}
    combined: dict[str, list[str]] = {name: list(names) for name, names in (groups or {}).items()}
    for spec in merged.values():
        for group in spec.groups:
            members = combined.setdefault(group, [])
            if spec.name not in members:
                members.append(spec.name)
    return Registry(
        devices=merged, groups={name: tuple(members) for name, members in combined.items()}
    )


def read_user_devices() -> dict[str, DeviceSpec]:
    """Return the devices that ``hef device add`` noted."""
    path = user_file()
    try:
        document = read_json(path, limit=TEXT_LIMIT)
        entries = document["devices"]
        return {name: _from_json(name, entry) for name, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = "it is not a list of devices"
        if isinstance(error, (OSError, ValueError)):
            why = str(getattr(error, "strerror", None) or error)
        msg = f"{path}: cannot be read: {escape_control(why)}"
        raise ConfigError(
            msg, hint="Repair or remove the file, then add the devices again."
        ) from error


def save_user_device(spec: DeviceSpec, *, replace_existing: bool = False) -> Path:
    """Note a device under its name; an existing one is kept unless told otherwise."""
    check_name(spec.name)
    with changing(user_file()):
        devices = read_user_devices()
        if spec.name in devices and not replace_existing and devices[spec.name] != spec:
            msg = f"there is a device {spec.name} already: {devices[spec.name].address}"
            asked = f"{device_word(spec.name)} {device_word(spec.address)}"
            raise ConfigError(msg, hint=f"Replace it: hef device add {asked} --replace")
        devices[spec.name] = spec
        return _write(devices)


def remove_user_device(name: str) -> DeviceSpec | None:
    """Forget a device; return it, or ``None`` when it was not known."""
    if name not in read_user_devices():
        return None
    with changing(user_file()):
        devices = read_user_devices()
        spec = devices.pop(name, None)
        if spec is not None:
            _write(devices)
    return spec


def check_name(name: str) -> None:
    """Refuse names that commands could not tell from addresses or options."""
    if NAME.match(name) is None or name in ("all", *BUILT_IN):
        msg = f"{escape_control(name)!r} cannot be a device's name"
        raise ConfigError(
            msg,
            hint="Use letters, digits, - and _, a letter first; not 'all' or "
            f"{' or '.join(map(repr, BUILT_IN))}.",
        )


def check_group(name: str, devices: Iterable[str]) -> None:
    """Refuse names that would take the place of a device, or that no command could be given."""
    if NAME.match(name) is None or name in ("all", *BUILT_IN):
        msg = f"{escape_control(name)!r} cannot be a group's name"
        raise ConfigError(
            msg,
            hint="Use letters, digits, - and _, a letter first; not 'all' or "
            f"{' or '.join(map(repr, BUILT_IN))}.",
        )
    if name in devices:
        msg = f"{name} is a device: a group needs another name"
        raise ConfigError(msg, hint="For example: --group house")


def check_service(unit: str) -> None:
    """Refuse what is not the name of a systemd unit: it stands in commands as it is."""
    if not unit_name(unit):
        msg = f"{escape_control(unit)!r} is not the name of a systemd unit"
        raise ConfigError(msg, hint="For example: --service frigate.service")


def check_python(command: str) -> None:
    """Refuse what does not begin with a program, as a shell would split it."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        words, said = [], f": {str(error).lower()}"
    else:
        said = ""
    if not words or words[0].startswith("-"):
        msg = f"{escape_control(command)!r} does not say which Python to run{said}"
        raise ConfigError(msg, hint="For example: --python /home/pi/venv/bin/python3")


def check_jump(text: str) -> None:
    """Refuse jump hosts that are no addresses; ``none`` is ssh's word for no jump."""
    if text.lower() != "none":
        for hop in text.split(","):
            parse_address(hop.strip())


def parse_address(text: str) -> DeviceSpec:
    """Return the spec of ``[user@]host[:port]``, or of ``ssh://`` and that; the name is the host.

    What a shell would read as more than a name is refused, as ssh refuses it: host and user
    become parts of the lines that a configuration has it run (``ProxyCommand``).
    """
    bare = text.removeprefix("ssh://")
    user, _, rest = (bare.removesuffix("/") if bare != text else bare).rpartition("@")
    if ":" in user:
        msg = "an address has no password in it"
        hint = "Leave it out; to be asked for it at each connection: --ask-password"
        raise ConfigError(msg, hint=hint)
    host, port = _split_port(rest, text)
    wrong = not host or not text.isprintable() or " " in text or "-" in (host[:1], user[:1])
    if wrong or _NO_HOST.search(host) or _NO_USER.search(user):
        raise _no_address(text)
    return DeviceSpec(name=host, host=host, user=user or None, port=port)


def check_user(user: str) -> None:
    """Refuse a user's name that :func:`parse_address` would refuse in an address."""
    if not user.isprintable() or " " in user or user[:1] == "-" or _NO_USER.search(user):
        msg = f"{escape_control(user)!r} cannot be the name of a user there"
        raise ConfigError(msg)


def _no_address(text: str, why: str = "") -> ConfigError:
    return ConfigError(
        f"{escape_control(text)!r} is not the address of a device{why}",
        hint="Write user@host or user@host:port, such as pi@raspberrypi.local",
    )


def _split_port(text: str, whole: str) -> tuple[str, int | None]:
    """Split ``host``, ``host:22``, ``[::1]:22`` and ``::1``; ``whole`` is what was written."""
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        port = "" if closing and not rest else rest[1:] if rest[:1] == ":" else "?"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        if not port:
            port = "?"
    else:
        host, port = text, ""
    if not port:
        return host, None
    if not _is_port(port):
        raise _no_address(whole, ": its port must be a number from 1 to 65535")
    return host, int(port)


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 0 < int(text) < 65536


def _port(text: str) -> int:
    if not _is_port(text):
        msg = f"{escape_control(text)!r}: the port must be a number from 1 to 65535"
        raise ConfigError(msg)
    return int(text)


def _to_json(spec: DeviceSpec) -> dict[str, object]:
    entry: dict[str, object] = {"host": spec.host}
    optional = {
        "user": spec.user,
        "port": spec.port,
        "identity": str(spec.identity_file) if spec.identity_file else None,
        "jump": spec.jump,
        "groups": list(spec.groups) or None,
        "service": spec.service,
        "shared": spec.shared or None,
        "ask_password": spec.ask_password or None,
        "python": spec.python if spec.python != "python3" else None,
    }
    entry.update({name: value for name, value in optional.items() if value is not None})
    return entry


def _from_json(name: str, entry: Mapping[str, object]) -> DeviceSpec:
    port, groups = entry.get("port"), entry.get("groups")
    identity = entry.get("identity")

    def text(key: str) -> str | None:
        value = entry.get(key)
        return str(value) if value is not None else None

    return DeviceSpec(
        name=name,
        host=str(entry["host"]),
        user=text("user"),
        port=_port(str(port)) if port is not None else None,
        identity_file=Path(str(identity)) if identity else None,
        jump=text("jump"),
        groups=tuple(map(str, groups)) if isinstance(groups, list) else (),
        service=text("service"),
        shared=bool(entry.get("shared")),
        ask_password=bool(entry.get("ask_password")),
        python=text("python") or "python3",
    )


def _write(devices: Mapping[str, DeviceSpec]) -> Path:
    path = user_file()
    document = {"schema": 1, "devices": {name: _to_json(spec) for name, spec in devices.items()}}
    write_atomic(path, json.dumps(document, indent=2) + "\n", private=True)
    return path

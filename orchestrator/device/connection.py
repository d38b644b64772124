"""Open SSH connections: the user's ssh configuration, our trust, errors that say what to do.

Runs on the loop thread. Nothing here decides for the user: keys come from ``ssh_config``, the
agent and the default files, a password only when the device's entry asks for it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from orchestrator.device.address import (
    SSH_PORT,
    VIA,
    device_argument,
    host_label,
)
from orchestrator.device.base import (
    KEEPALIVE_COUNT,
    KEEPALIVE_SECONDS,
    DeviceSpec,
    NoTerminalError,
)
from orchestrator.device.faults import DeviceUnreachable, HostKeyUnknown, LoginRefused
from orchestrator.device.login import Login, LoginClient
from orchestrator.device.mdns import find_local
from orchestrator.device.registry import parse_address
from orchestrator.device.route import Route
from orchestrator.device.trust import HostCheck, user_files
from orchestrator.device.unreached import explain
from orchestrator.errors import ConfigError, escape_control

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.device.embedded import EmbeddedServer

NAME_SECONDS = 15.0
CONNECT_SECONDS = 10.0
LOGIN_SECONDS = 40.0

#: The Pi's CPUs (4: no, 5: yes) and every PC do AES in hardware; the others stay allowed.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)

#: Kinds of host keys, best first; an unknown device shows the first that it has.
KEY_KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


def config_files() -> list[Path]:
    """Return the ssh configuration files to read: ``HEFSMITH_SSH_CONFIG`` or the user's own."""
    if override := os.environ.get("HEFSMITH_SSH_CONFIG"):
        return [Path(override).expanduser()]
    found = [Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config")]
    return [path for path in found if os.access(path, os.R_OK)]


def read_route(spec: DeviceSpec) -> Route:
    """Combine a spec with the user's ssh configuration; what the spec states wins."""
    given: dict[str, object] = {}
    if spec.user is not None:
        given["username"] = spec.user
    if spec.port is not None:
        given["port"] = spec.port
    if spec.identity_file is not None:
        path = spec.identity_file.expanduser()
        if not path.is_file():
            msg = f"{spec.name}: identity file {path} does not exist"
            if path.exists():
                msg = f"{spec.name}: identity file {path} is not a regular file"
            raise ConfigError(msg, hint="Name the private key, or leave it out to use the agent.")
        given["client_keys"] = [str(path)]
    try:
        options = _options(spec, given)
    except asyncssh.ConfigParseError as error:
        msg = f"{spec.name}: the ssh configuration cannot be read: {error}"
        raise ConfigError(msg) from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError, OSError) as error:
        if "passphrase" in str(error).lower():
            msg = f"{spec.name}: the private key {spec.identity_file or ''} has a passphrase"
            hint = f"Give it to the agent once: ssh-add {spec.identity_file or ''}".rstrip()
            raise LoginRefused(msg, hint=hint) from error
        if isinstance(error, asyncssh.KeyImportError) and spec.identity_file is not None:
            msg = f"{spec.name}: identity file {spec.identity_file} is not a private key"
            private = str(spec.identity_file).removesuffix(".pub")
            hint = f"Name the private key, not the public one: {private}"
            if private == str(spec.identity_file):
                hint = "Name the private key, or leave it out to use the agent."
            raise ConfigError(msg, hint=hint) from error
        msg = f"{spec.name}: {error}"
        if isinstance(error, FileNotFoundError) and error.filename:
            lost = escape_control(str(error.filename))
            msg = f"{spec.name}: {lost}, which the ssh configuration names, does not exist"
        raise ConfigError(msg, hint="Look at this host's entry in ~/.ssh/config.") from error
    port = options.port or SSH_PORT
    jump = spec.jump if spec.jump is not None else options.tunnel
    jumps = str(jump).split(",") if jump and str(jump).lower() != "none" else []
    return Route(
        options=options,
        host=options.host,
        port=port,
        user=options.username,
        label=host_label(options.host_key_alias or options.host, port),
        jumps=tuple(part.strip() for part in jumps if part.strip()),
        proxied=bool(options.proxy_command),
    )


def _options(spec: DeviceSpec, given: dict[str, object]) -> asyncssh.SSHClientConnectionOptions:
    """Read the ssh configuration; ``given`` stands before what it says."""

    def read(**more: object) -> asyncssh.SSHClientConnectionOptions:
        return asyncssh.SSHClientConnectionOptions(
            host=spec.host,
            config=[str(path) for path in config_files()],
            encryption_algs=list(CIPHERS),
            compression_algs=["none"],
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVE_COUNT,
            gss_auth=False,
            gss_kex=False,
            agent_forwarding=False,
            x11_forwarding=False,
            request_pty=False,
            command=None,
            env=None,
            send_env=None,
            **{**given, **more},
        )

    try:
        return read()
    except FileNotFoundError:
        if "client_keys" in given:
            raise
        # A configuration that several machines share names keys that are not on all of them; ssh
        # leaves those out, and tries the others and the agent's.
        config = read(client_keys=None).config
        named = [str(path) for path in config.get("IdentityFile", [])]
        there = [path for path in named if Path(path).expanduser().is_file()]
        if len(there) == len(named) or (not there and config.get("IdentitiesOnly")):
            raise
        return read(client_keys=there, ignore_encrypted=True)


def jump_spec(text: str, *, for_device: str) -> DeviceSpec:
    """Return the spec of one hop as ``ssh -J`` writes it: ``[user@]host[:port]``."""
    hop = parse_address(text)
    return replace(hop, name=f"{for_device}{VIA}{hop.host}")


def hop_specs(spec: DeviceSpec, route: Route) -> tuple[DeviceSpec, ...]:
    """Return the jump hosts on the way to a device, the first one first, each behind the last."""
    device = device_argument(spec)
    return tuple(
        replace(jump_spec(text, for_device=device), jump=",".join(route.jumps[:number]) or None)
        for number, text in enumerate(route.jumps)
    )


async def open_connection(
    spec: DeviceSpec,
    route: Route,
    *,
    tunnel: asyncssh.SSHClientConnection | None = None,
    password: Callable[[str], str] | None = None,
    any_key: bool = False,
) -> tuple[asyncssh.SSHClientConnection | None, HostCheck]:
    """Connect along a route. ``any_key`` only notes the host key (then no connection results)."""
    check = _host_check(spec, route)
    asks = spec.ask_password and not any_key
    login = Login(route.address, (password or _no_terminal) if asks else None)
    direct = tunnel is None and not route.proxied
    sock = await _open_socket(spec, route) if direct else None
    try:
        # One limit for all of it: a server that sends a byte at a time has no other.
        async with login.within(LOGIN_SECONDS):
            conn = await asyncssh.connect(
                route.host,
                route.port,
                config=None,
                options=route.options,
                tunnel=tunnel,
                sock=sock,
                client_factory=lambda: LoginClient(check, login),
                known_hosts=_nobody if any_key else check.match,
                server_host_key_algs=_key_kinds(check, route, any_key=any_key),
                password_auth=True,
                kbdint_auth=True,
                **({} if route.proxied and tunnel is None else {"proxy_command": None}),
            )
    except asyncssh.HostKeyNotVerifiable as error:
        if any_key:
            return None, check
        raise check.refusal() from error
    except (OSError, asyncssh.Error) as error:
        reached = sock is not None
        raise explain(spec, route, error, login=login, reached=reached) from error
    return conn, check


def _no_terminal(prompt: str) -> str:
    raise NoTerminalError(prompt)


def _host_check(spec: DeviceSpec, route: Route) -> HostCheck:
    config = route.options.config
    files = user_files(config.get("UserKnownHostsFile", []), config.get("GlobalKnownHostsFile", []))
    return HostCheck(spec=spec, label=route.label, files=files)


def is_trusted(spec: DeviceSpec, route: Route, key: asyncssh.SSHKey) -> bool:
    """Tell whether a server may show ``key``, by our file or those that ssh reads."""
    name = route.options.host_key_alias or route.host
    keys, authorities, _ = _host_check(spec, route).match(name, "", route.port)
    return key in keys or bool(authorities)


def _key_kinds(check: HostCheck, route: Route, *, any_key: bool) -> list[str] | tuple[()]:
    """Return the kinds of host keys to ask for: the trusted one first, then as ssh does.

    The others stay in the list, so that a device whose key changed shows it, and the message
    can tell both.
    """
    _, authorities, _ = check.match(route.options.host_key_alias or route.host, "", route.port)
    if authorities:
        return ()
    known = [] if any_key else check.known
    trusted = [kind.decode("ascii") for key in known for kind in key.sig_algorithms]
    return list(dict.fromkeys([*trusted, *KEY_KINDS]))


def _nobody(host: str, addr: str, port: int | None) -> tuple[list[object], ...]:  # noqa: ARG001
    return [], [], []


async def _open_socket(spec: DeviceSpec, route: Route) -> socket.socket:
    """Connect the TCP socket ourselves: addresses in turn, ``.local`` names everywhere."""
    loop = asyncio.get_running_loop()
    addresses = await _resolve(spec, route.host, route.port)
    last: OSError | None = None
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.sock_connect(sock, address)
        except (OSError, TimeoutError) as error:
            sock.close()
            last = error if isinstance(error, OSError) else TimeoutError()
            continue
        except BaseException:
            sock.close()
            raise
        return sock
    raise explain(spec, route, last or OSError("it has no address"))


_Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


async def _resolve(
    spec: DeviceSpec, host: str, port: int
) -> list[tuple[socket.AddressFamily, _Address]]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(NAME_SECONDS):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a TimeoutError is an OSError
        if host.rstrip(".").lower().endswith(".local"):
            texts = await loop.run_in_executor(None, find_local, host.rstrip("."))
            if texts:
                return [(_family(text), (text, port)) for text in texts]
        name = escape_control(host)
        msg = f"{escape_control(spec.name)}: the name {name} is not known on this network"
        raise DeviceUnreachable(
            msg,
            hint=(
                "Is the device switched on and in the same network? Names that end in .local\n"
                "need multicast; its IP address works everywhere (hostname -I on the device)."
            ),
        ) from error
    return [(family, address) for family, _, _, _, address in found]


def _family(text: str) -> socket.AddressFamily:
    version = ipaddress.ip_address(text).version
    return socket.AF_INET6 if version == 6 else socket.AF_INET


async def fetch_host_key(
    spec: DeviceSpec, route: Route, tunnel: asyncssh.SSHClientConnection | None
) -> asyncssh.SSHKey:
    """Return the key that a server shows, without logging in."""
    _, check = await open_connection(spec, route, tunnel=tunnel, any_key=True)
    if check.offered is None:
        msg = f"{spec.name}: {route.address} showed no host key"
        raise HostKeyUnknown(msg)
    check.match(route.options.host_key_alias or route.host, "", route.port)
    if check.offered in check.revoked:
        raise check.refusal()
    return check.offered


async def open_embedded(spec: DeviceSpec, server: EmbeddedServer) -> asyncssh.SSHClientConnection:
    """Connect to the SSH server of our own process, with the keys that it was made with."""
    check = HostCheck(spec=spec, label="embedded", pinned=server.host_key.convert_to_public())
    options = asyncssh.SSHClientConnectionOptions(
        username="pi",
        config=None,
        client_factory=lambda: LoginClient(check, Login("embedded")),
        known_hosts=check.match,
        client_keys=[server.user_key],
        agent_path=None,
        encryption_algs=list(CIPHERS),
        connect_timeout=LOGIN_SECONDS,
        login_timeout=LOGIN_SECONDS,
        gss_auth=False,
        gss_kex=False,
        password_auth=False,
        kbdint_auth=False,
    )
    return await asyncssh.connect("127.0.0.1", server.port, config=None, options=options)

"""Open SSH connections: the user's ssh configuration, our trust, errors that say what to do.

Runs on the loop thread. Nothing here decides for the user: keys come from ``ssh_config``, the
agent and the default files, a password only when the device's entry asks for it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import shlex
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from orchestrator.device.address import (
    SSH_PORT,
    VIA,
    copy_id_command,
    device_argument,
    device_word,
    host_label,
    ssh_command,
)
from orchestrator.device.base import (
    KEEPALIVE_COUNT,
    KEEPALIVE_SECONDS,
    DeviceSpec,
    NoTerminalError,
)
from orchestrator.device.faults import DeviceUnreachable, HostKeyUnknown, LinkLost, LoginRefused
from orchestrator.device.mdns import find_local
from orchestrator.device.registry import parse_address
from orchestrator.device.trust import HostCheck, user_files
from orchestrator.errors import ConfigError, DeviceError, escape_control, shorten

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

_NO_SERVER = "On the device: sudo raspi-config nonint do_ssh 0"


#: Kinds of host keys, best first; an unknown device shows the first that it has.
KEY_KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where a spec leads, after the ssh configuration has been read."""

    options: asyncssh.SSHClientConnectionOptions
    host: str
    port: int
    user: str
    label: str
    jumps: tuple[str, ...]
    proxied: bool

    @property
    def address(self) -> str:
        """``user@host:port`` for messages."""
        return f"{self.user}@{host_label(self.host, self.port)}"


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
            connect_timeout=LOGIN_SECONDS,
            login_timeout=LOGIN_SECONDS,
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
    secret = None
    if spec.ask_password and not any_key:
        secret = _password(spec, route, password)
    direct = tunnel is None and not route.proxied
    sock = await _open_socket(spec, route) if direct else None
    try:
        async with asyncio.timeout(LOGIN_SECONDS + 5):  # whatever asyncssh's own limits leave out
            conn = await asyncssh.connect(
                route.host,
                route.port,
                config=None,
                options=route.options,
                tunnel=tunnel,
                sock=sock,
                client_factory=check.client,
                known_hosts=_nobody if any_key else check.match,
                server_host_key_algs=_key_kinds(check, route, any_key=any_key),
                password=secret,
                password_auth=secret is not None,
                kbdint_auth=secret is not None,
                **({} if route.proxied and tunnel is None else {"proxy_command": None}),
            )
    except asyncssh.HostKeyNotVerifiable as error:
        if any_key:
            return None, check
        raise check.refusal() from error
    except (OSError, asyncssh.Error) as error:
        raise explain(spec, route, error, banner=check.banner) from error
    return conn, check


def _password(spec: DeviceSpec, route: Route, ask: Callable[[str], str] | None) -> str:
    try:
        if ask is not None:
            return ask(f"Password for {route.address}: ")
    except NoTerminalError:
        pass
    msg = f"{escape_control(spec.name)}: a password is needed, but there is no terminal to ask at"
    raise LoginRefused(msg, hint=f"Install a key: {escape_control(copy_id_command(spec))}")


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


def explain(spec: DeviceSpec, route: Route, error: Exception, *, banner: str = "") -> DeviceError:
    """Turn what asyncssh or the system says into one of our errors.

    ``banner`` is what the server said before it ended the login.
    """
    name, where = escape_control(spec.name), escape_control(route.address)
    if isinstance(error, asyncssh.ConnectionLost) and banner.strip():
        return LoginRefused(
            f"{name}: {where} ended the login: {shorten(banner.strip().splitlines()[-1])}",
            hint=f"See what it says: {escape_control(ssh_command(spec))}",
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return LoginRefused(
            f"{name}: {where} accepts none of your keys",
            hint=(
                f"Install one: {escape_control(copy_id_command(spec))}\n"
                f"or name one: {_added_again(spec)} --identity KEY --replace\n"
                "One with a passphrase goes to the agent: ssh-add.\n"
                "To use a password instead: the same line with --ask-password."
            ),
        )
    if isinstance(error, asyncssh.ProtocolError) and "authentication failures" in str(error):
        return LoginRefused(
            f"{name}: {where} ended the login after too many keys that it does not know",
            hint=f"Name the one that it knows: {_added_again(spec)} --identity KEY --replace",
        )
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return _nothing_in_common(f"{name}: {where}", str(error))
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        said = "no answer in time"
    elif isinstance(error, ConnectionRefusedError):
        return DeviceUnreachable(
            f"{name}: {escape_control(route.host)} is there, but no SSH server answers on port "
            f"{route.port}",
            hint=_NO_SERVER
            if route.port == SSH_PORT
            else f"Is {route.port} the right port? On the device: sudo sshd -T | grep ^port\n"
            f"If no server runs there at all: {_NO_SERVER.partition(': ')[2]}",
        )
    elif isinstance(error, asyncssh.ProtocolError | asyncssh.ConnectionLost) and not (
        route.proxied or route.jumps
    ):
        # Somebody took the connection: it is neither switched off nor in another network.
        msg = f"{name}: what answers at {where} is not an SSH server: {escape_control(str(error))}"
        if isinstance(error, asyncssh.ConnectionLost):
            msg = f"{name}: {where} closed the connection before the login was done"
        look = escape_control(ssh_command(spec))
        return DeviceUnreachable(
            msg, hint=f"Is {route.port} its port for SSH? See what it says: {look}"
        )
    elif isinstance(error, OSError) and error.strerror:
        said = error.strerror
    else:
        said = escape_control(str(error)) or type(error).__name__
    if route.proxied and not isinstance(error, TimeoutError):
        return DeviceUnreachable(
            f"{name}: {where} cannot be reached: the ProxyCommand of its ssh configuration ended "
            f"before an SSH server answered ({said})",
            hint=f"See what it says: {escape_control(ssh_command(spec))}",
        )
    return DeviceUnreachable(
        f"{name}: {where} cannot be reached: {said}",
        hint="Is it switched on and in this network? Try: " + escape_control(ssh_command(spec)),
    )


#: What both sides must have one of, by asyncssh's word for it: sshd's setting, and one of ours.
_SETTINGS = {
    "key exchange": "KexAlgorithms +curve25519-sha256",
    "server host key": "HostKeyAlgorithms +ssh-ed25519",
    "encryption": "Ciphers +aes256-gcm@openssh.com",
    "MAC": "MACs +hmac-sha2-256",
}


def _nothing_in_common(where: str, said: str) -> DeviceUnreachable:
    """Return the error for a server that takes other algorithms: it is on, and it is SSH."""
    found = re.search(r"No matching (.+?) algorithm found, sent \S+ and received (\S+)", said)
    if found is None:
        return DeviceUnreachable(
            f"{where} and hefsmith agree on no key exchange: {shorten(said)}",
            hint="Update the SSH server there: sudo apt install --only-upgrade openssh-server",
        )
    kind = escape_control(found[1])
    offered = ",".join(one for one in found[2].split(",") if not one.startswith("kex-strict"))
    return DeviceUnreachable(
        f"{where} and hefsmith have no {kind} algorithm in common: it offers {shorten(offered)}",
        hint="A line for /etc/ssh/sshd_config there: "
        f"{_SETTINGS.get(found[1], _SETTINGS['key exchange'])}",
    )


def _added_again(spec: DeviceSpec) -> str:
    """Return the line that notes a device anew, for an option to be put behind it."""
    name = "NAME" if spec.name in (spec.host, spec.address) or VIA in spec.name else spec.name
    words = ["hef device add", device_word(name), device_word(spec.address)]
    kept = {
        "--jump": (spec.jump,),
        "--group": spec.groups,
        "--service": (spec.service,),
        "--python": (spec.python if spec.python != "python3" else None,),
    }
    for option, values in kept.items():
        words += [f"{option} {shlex.quote(escape_control(one))}" for one in values if one]
    return " ".join([*words, *(["--shared"] if spec.shared else [])])


def link_lost(name: str, doing: str, error: Exception | None = None) -> LinkLost:
    """Return the error for a connection that ended while something was being done."""
    said = escape_control(str(error)) if error and str(error) else "no answer any more"
    return LinkLost(
        f"{escape_control(name)}: the connection was lost while {doing}: {said}",
        hint="Nothing was left half-done under a final name. Run the same command again.",
    )


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
        client_factory=check.client,
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

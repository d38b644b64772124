"""Why a device is not reached, or no login came about, in words that say what to do."""

from __future__ import annotations

import asyncio
import re
import shlex
from typing import TYPE_CHECKING

import asyncssh

from orchestrator.device.address import (
    SSH_PORT,
    VIA,
    copy_id_command,
    device_word,
    ssh_command,
)
from orchestrator.device.faults import DeviceUnreachable, LinkLost, LoginRefused
from orchestrator.device.login import KEY, PASSWORD, Login
from orchestrator.errors import DeviceError, escape_control, shorten

if TYPE_CHECKING:
    from orchestrator.device.base import DeviceSpec
    from orchestrator.device.route import Route

_NO_SERVER = "On the device: sudo raspi-config nonint do_ssh 0"

#: RFC 4254, 5.1: what a server answers that may not open a channel.
_FORBIDDEN = 1


def explain(
    spec: DeviceSpec,
    route: Route,
    error: Exception,
    *,
    login: Login | None = None,
    reached: bool = False,
) -> DeviceError:
    """Turn what asyncssh or the system says into one of our errors.

    ``login`` is what is known of the login that was begun; ``reached``: the port took us.
    """
    name, where = escape_control(spec.name), escape_control(route.address)
    login = login or Login(route.address)
    look = escape_control(ssh_command(spec))
    if isinstance(error, asyncssh.ConnectionLost) and login.banner.strip():
        return LoginRefused(
            f"{name}: {where} ended the login: {shorten(login.banner.strip().splitlines()[-1])}",
            hint=f"See what it says: {look}",
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return _not_let_in(spec, f"{name}: {where}", login)
    if isinstance(error, asyncssh.ProtocolError) and "authentication failures" in str(error):
        return LoginRefused(
            f"{name}: {where} ended the login after too many keys that it does not know",
            hint=f"Name the one that it knows: {_key_hint(spec)}",
        )
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return _nothing_in_common(f"{name}: {where}", str(error))
    if isinstance(error, asyncssh.ChannelOpenError) and route.jumps:
        return _behind(route.jumps[-1], name, where, error, look)
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        if reached:
            # Somebody took the connection: it is neither switched off nor in another network.
            return DeviceUnreachable(
                f"{name}: {where} took the connection, but no login came about in time",
                hint=f"Is {route.port} its port for SSH? A machine whose card or memory is at its "
                f"end hangs so, too:\nswitch it off and on. See what it says: {look} -v",
            )
        if route.jumps:
            gate = escape_control(route.jumps[-1])
            return DeviceUnreachable(
                f"{name}: {where} does not answer in time behind the jump host {gate}, which does",
                hint=f"Is it switched on, and in that host's network? Try: {look}",
            )
        said = "no answer in time"
    elif isinstance(error, ConnectionRefusedError):
        return DeviceUnreachable(
            f"{name}: {escape_control(route.host)} is there, but no SSH server answers on port "
            f"{route.port}",
            hint=_port_hint(spec, route),
        )
    elif isinstance(error, asyncssh.ProtocolError | asyncssh.ConnectionLost) and (
        not route.proxied
    ):
        msg = f"{name}: what answers at {where} is not an SSH server: {escape_control(str(error))}"
        if isinstance(error, asyncssh.ConnectionLost):
            msg = f"{name}: {where} closed the connection before the login was done"
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
            hint=f"See what it says: {look}",
        )
    return DeviceUnreachable(
        f"{name}: {where} cannot be reached: {said}",
        hint=f"Is it switched on and in this network? Try: {look}",
    )


def _port_hint(spec: DeviceSpec, route: Route) -> str:
    """Return what to look at where a port is shut; a jump host is not always a Pi."""
    if VIA in spec.name:
        return f"Is {route.port} the right port of this jump host? There: sudo sshd -T | grep ^port"
    if route.port == SSH_PORT:
        return _NO_SERVER
    return (
        f"Is {route.port} the right port? On the device: sudo sshd -T | grep ^port\n"
        f"If no server runs there at all: {_NO_SERVER.partition(': ')[2]}"
    )


def _behind(
    jump: str, name: str, where: str, error: asyncssh.ChannelOpenError, look: str
) -> DeviceUnreachable:
    """Return the error for a jump host that answers, and does not lead to what is behind it."""
    gate, said = escape_control(jump), shorten(str(error.reason)) or "it did not say why"
    if error.code == _FORBIDDEN:
        return DeviceUnreachable(
            f"{name}: the jump host {gate} does not allow to go on to {where}: {said}",
            hint="On the jump host: AllowTcpForwarding and PermitOpen in /etc/ssh/sshd_config, "
            "and what stands\nbefore your key in ~/.ssh/authorized_keys (restrict).",
        )
    return DeviceUnreachable(
        f"{name}: the jump host {gate} answers, but does not reach {where}: {said}",
        hint="Its network counts here, and the names that it knows. Is the device switched on?\n"
        f"Try: {look}",
    )


def _not_let_in(spec: DeviceSpec, where: str, login: Login) -> LoginRefused:
    """Return the error for a login that the server refused, by what it would have taken."""
    look = escape_control(ssh_command(spec))
    if login.expired:
        return LoginRefused(
            f"{where} wants a new password: this one has ended",
            hint=f"Log in there once, and set one: {look}",
        )
    if login.typed:
        return LoginRefused(
            f"{where} did not take what was typed as the password or the code",
            hint=f"Run the same command again. What else it says: {look}",
        )
    copy = f"Install a key: {escape_control(copy_id_command(spec))}"
    if login.unheard:
        return LoginRefused(
            f"{where}: a password is needed, but there is no terminal to ask at", hint=copy
        )
    more = login.wanted - {KEY}
    ask = _asking_hint(spec) if more or not login.wanted else ""
    if login.wanted and KEY not in login.wanted:
        # It takes no keys, or has taken one already and wants more than that.
        what = "the password" if more == {PASSWORD} else "a password or a one-time code"
        return LoginRefused(
            f"{where} does not let you in by a key alone: it wants {what}", hint=ask
        )
    hint = "It takes keys only; where it wants two of them, both go to the agent."
    return LoginRefused(
        f"{where} lets you in with none of your keys",
        hint=f"Install one: {escape_control(copy_id_command(spec))}\n"
        f"or name one: {_key_hint(spec)}\n"
        f"One with a passphrase goes to the agent: ssh-add.\n{ask or hint}",
    )


def _asking_hint(spec: DeviceSpec) -> str:
    if VIA in spec.name:
        return "To type a password at the jump host: --ask-password at the device behind it."
    return f"To type it at each connection: {_added_again(spec)} --ask-password --replace"


def _key_hint(spec: DeviceSpec) -> str:
    """Return how a key is named for a login; a jump host is in no list of devices."""
    if VIA in spec.name:
        return f"IdentityFile KEY in ~/.ssh/config, below: Host {escape_control(spec.host)}"
    return f"{_added_again(spec)} --identity KEY --replace"


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
    name = "NAME" if spec.name in (spec.host, spec.address) else spec.name
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


def no_session(
    name: str, doing: str, error: Exception, conn: asyncssh.SSHClientConnection
) -> DeviceError:
    """Return the error for a program that was not started: no session, or no link any more."""
    if isinstance(error, asyncssh.ChannelOpenError) and not conn.is_closed():
        said = shorten(str(error.reason)) or "it did not say why"
        return LoginRefused(
            f"{escape_control(name)}: the login is accepted, but its SSH server starts nothing for "
            f"it: {said}",
            hint="On the device: sudo sshd -T | grep -i -e maxsessions -e forcecommand; a key may "
            "have a line\nof its own in ~/.ssh/authorized_keys. What it says: journalctl -u ssh",
        )
    return link_lost(name, doing, error)

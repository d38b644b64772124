"""Signatures with the keys that people have for SSH: made and checked by ``ssh-keygen -Y``.

Who counts stands in a list of signers as ``ssh-keygen(1)`` has it: a name and a public key a line.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator import files
from orchestrator.errors import ConfigError, escape_control

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds that a signature may take; an agent may want the touch of a key.
PATIENCE = 60.0
#: Characters of a signature: OpenSSH's own are below 5,000.
LONGEST = 32_768


@dataclass(frozen=True)
class Signed:
    """What is known of a signature. ``by`` is the signer as the list names it."""

    state: Literal["none", "not checked", "good", "bad"]
    by: str | None = None
    why: str = ""


def sign(content: bytes, key: Path, purpose: str) -> str:
    """Return the signature of ``content`` by a private key, or by an agent's for a public one.

    Nobody is asked for a passphrase. Raises :class:`~orchestrator.errors.ConfigError`.
    """
    shown = escape_control(str(key))
    if not key.is_file():
        msg = f"the signing key {shown} does not exist"
        raise ConfigError(msg, hint="ssh-keygen -t ed25519 makes one.", code="sign.key")
    # A lone dash, or a name that begins with one, is never an option after this.
    done = _keygen("sign", "-q", "-n", purpose, "-f", str(key.absolute()), content=content)
    if done.returncode != 0 or not done.stdout.startswith("-----BEGIN SSH SIGNATURE-----"):
        msg = f"{shown} does not sign: {_last_line(done)}"
        hint = "A key with a passphrase signs through an agent: ssh-add KEY, and name KEY.pub here."
        raise ConfigError(msg, hint=hint, code="sign.key")
    return done.stdout


def check(content: bytes, signature: str, signers: Path, purpose: str) -> Signed:
    """Return what a list of signers says of a signature of ``content``.

    Raises :class:`~orchestrator.errors.ConfigError` where nobody can be asked.
    """
    if not signers.is_file():
        msg = f"the list of signers {escape_control(str(signers))} does not exist"
        raise ConfigError(msg, hint="One name and one public key per line.", code="sign.signers")
    if len(signature) > LONGEST:
        return Signed("bad", why="it is longer than any signature")
    with files.scratch("hefsmith-signature") as folder:
        place = folder / "content.sig"
        place.write_text(signature, encoding="utf-8", newline="\n")
        where = ("-s", str(place), "-f", str(signers.absolute()))
        found = _keygen("find-principals", *where)
        who = found.stdout.strip().splitlines()
        if found.returncode != 0 or not who:
            return Signed("bad", why="none of the signers has signed it")
        done = _keygen("verify", "-n", purpose, "-I", who[0], *where, content=content)
    if done.returncode != 0:
        return Signed("bad", who[0], _last_line(done))
    return Signed("good", who[0])


def _keygen(
    action: str, *arguments: str, content: bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``ssh-keygen -Y``; a passphrase is asked of nobody, or it would wait for ever."""
    environ = {**os.environ, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"}
    environ.pop("DISPLAY", None)
    try:
        done = subprocess.run(
            ["ssh-keygen", "-Y", action, *arguments],
            input=content or b"",
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            env=environ,
            # Without a terminal of its own it cannot ask there, either.
            start_new_session=True,
        )
    except FileNotFoundError:
        msg = "ssh-keygen, which makes and checks signatures, is not installed"
        raise ConfigError(msg, hint="Install OpenSSH.", code="verify.ssh") from None
    except subprocess.TimeoutExpired:
        msg = f"ssh-keygen did not answer within {PATIENCE:.0f} s"
        raise ConfigError(msg, hint="Does an SSH agent wait for you?", code="sign.time") from None
    texts = [one.decode("utf-8", "replace") for one in (done.stdout, done.stderr)]
    return subprocess.CompletedProcess(done.args, done.returncode, *texts)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    said = (done.stdout + done.stderr).strip().splitlines()
    return escape_control(said[-1]) if said else "ssh-keygen refuses it"

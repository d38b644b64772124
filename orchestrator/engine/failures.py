"""What can go wrong between us and an engine, in words: the one place that knows the SDK's errors.

An engine that goes away, refuses or cannot fetch something is met as an exception of many classes
(docker, requests, urllib3, paramiko, json, OSError), and the SDK adds those of its own faults and
of the user's Docker settings. All of them become :class:`EngineError` or one of its kin here, so
that no other module has to know, and no user meets a traceback.
"""

from __future__ import annotations

import re
import ssl
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestrator.engine.base import (
    BoxRefusedError,
    EngineLostError,
    EngineUnavailableError,
    ImageMissingError,
)
from orchestrator.engine.starting import how_to_start, this_machine
from orchestrator.errors import EngineError, escape_control, shorten

if TYPE_CHECKING:
    from orchestrator.engine.address import Address
    from orchestrator.engine.starting import Machine


@dataclass(frozen=True, slots=True)
class Saying:
    """What engines say in one trouble, in lower case, what that means, and what helps.

    All of ``words`` must be said. ``code`` is the error's, ``meaning`` stands before their words.
    """

    words: tuple[str, ...]
    meaning: str
    hint: str
    code: str


#: In order: the first that fits counts.
SAYINGS = (
    Saying(
        ("no space left on device",),
        "the engine's disk is full",
        "Free space where the engine keeps its data: docker system df, then\n"
        "docker builder prune, or delete archives that are loaded already.",
        "engine.disk-full",
    ),
    Saying(
        ("short-name", "did not resolve"),
        "Podman does not know which registry an image is from",
        "Put this line into /etc/containers/registries.conf:\n"
        'unqualified-search-registries = ["docker.io"]\n'
        "or name the base image whole: HEFSMITH_BASE_IMAGE=docker.io/library/debian:bookworm-slim",
        "engine.short-name",
    ),
    Saying(
        ("client version", "too old"),
        "this Docker engine no longer speaks with a client as old as ours",
        "Update the library: pip install --upgrade docker. Until then, an engine can be told to\n"
        "take older clients (DOCKER_MIN_API_VERSION in its environment).",
        "engine.api-version",
    ),
    Saying(
        ("client version", "too new"),
        "this Docker engine is older than what it was asked for",
        "Update the engine, or whatever stands between it and us (a socket proxy).",
        "engine.api-version",
    ),
    Saying(
        ("api versions below", "no longer supported"),
        "this Docker engine is too old",
        "Update the engine: its API must be as new as the one that is named here.",
        "engine.api-version",
    ),
    Saying(
        ("mounts denied",),
        "Docker Desktop does not share this folder with its containers",
        "Share it: Settings, Resources, File sharing; or put the project below your home folder.",
        "engine.not-shared",
    ),
    Saying(
        ("x509",),
        "the engine does not trust the certificate of a registry",
        "Behind a proxy that re-signs traffic, the engine (not this program) needs its CA:\n"
        "add it to the certificates of the engine's machine and start the engine again.",
        "engine.certificate",
    ),
    Saying(
        ("proxyconnect",),
        "the engine does not get through its proxy",
        "The proxy is set for the engine, not here: HTTPS_PROXY in its service file, or in the\n"
        "settings of Docker Desktop. docker info shows it.",
        "engine.proxy",
    ),
    Saying(
        ("proxy authentication required",),
        "the engine's proxy wants a login",
        "Put user and password into HTTPS_PROXY in the engine's service file, or in the\n"
        "settings of Docker Desktop.",
        "engine.proxy",
    ),
    Saying(
        ("pull rate limit",),
        "the registry serves no more images to this address for now",
        "Log in (docker login), wait, or load the base image by hand (docker load) and name it\n"
        "with HEFSMITH_BASE_IMAGE.",
        "engine.rate-limit",
    ),
)


def heard(text: str) -> Saying | None:
    """Return what an engine's words mean, ``None`` if we do not know them."""
    low = text.lower()
    return next((one for one in SAYINGS if all(word in low for word in one.words)), None)


def lost_errors() -> tuple[type[Exception], ...]:
    """Return the classes that the SDK and what is below it raise."""
    import docker.errors
    import requests.exceptions
    import urllib3.exceptions

    found: list[type[Exception]] = [
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        EOFError,
        ssl.SSLError,
    ]
    paramiko = sys.modules.get("paramiko")
    if paramiko is not None:
        found.append(paramiko.SSHException)
    return tuple(found)


def all_errors() -> tuple[type[Exception], ...]:
    """Return :func:`lost_errors` and this program's own, for places that must not fail."""
    return (*lost_errors(), EngineError)


#: Packages whose exceptions are an engine's, whatever their class.
SDK = ("docker", "requests", "urllib3", "paramiko", "http.client")


def is_sdks(error: BaseException) -> bool:
    """Tell whether an exception was raised inside the SDK or a library below it.

    What our own code raises that the SDK has called (the reader of a file that is sent) is not.
    """
    for name in (str(type(error).__module__), *reversed(_passed(error))):
        if any(name == one or name.startswith(f"{one}.") for one in SDK):
            return True
        if name.partition(".")[0] == "orchestrator":
            return False
    return False


def _passed(error: BaseException) -> list[str]:
    """Return the modules that an exception has passed, the one that raised it last."""
    passed = traceback.walk_tb(error.__traceback__)
    return [str(frame.f_globals.get("__name__", "")) for frame, _ in passed]


def translate(
    error: Exception, doing: str, address: Address, *, first: bool = False
) -> EngineError:
    """Return our error for one of the SDK's. ``first``: the very first contact failed."""
    import docker.errors

    text = cause_text(error)
    if (settings := _settings_at_fault(error)) is not None:
        return settings
    said = escape_control(_explanation(error))
    if (known := heard(text)) is not None:
        kind = EngineUnavailableError if first else EngineError
        return kind(f"{doing}: {known.meaning}: {said[:500]}", hint=known.hint, code=known.code)
    if first:
        message, hint = explain_contact(text, address, this_machine())
        return EngineUnavailableError(message, hint=hint)
    if isinstance(error, docker.errors.ImageNotFound):
        return ImageMissingError(f"{doing}: {said}")
    if isinstance(error, docker.errors.APIError):
        if error.is_client_error():
            return BoxRefusedError(f"{doing}: the engine refused: {said}")
        return EngineError(f"{doing}: the engine failed: {said}")
    if isinstance(error, ValueError) or not isinstance(error, lost_errors()):
        # It answered, but not as the SDK understands it.
        return EngineError(
            f"{doing}: the engine's answer was not understood ({escape_control(text[:300])})",
            hint="Run again with --debug. pip install --upgrade docker may help, or an update of\n"
            "the engine.",
            code="engine.answer",
        )
    return EngineLostError(
        f"{doing}: the engine at {address.url} went away ({escape_control(text[:300])})",
        hint="See whether it still runs (docker info), then run the same command again:\n"
        "finished stages are not repeated.",
    )


def _settings_at_fault(error: Exception) -> EngineError | None:
    """Return the error for settings of Docker, or a program they name, that cannot be used."""
    import docker.credentials.errors
    import docker.errors

    told = isinstance(
        error, (docker.credentials.errors.StoreError, docker.errors.InvalidConfigFile)
    )
    if not (told or any(_reads_settings(one) for one in _chain(error))):
        return None
    return EngineError(
        f"Docker's settings in {config_file()} cannot be used: "
        f"{escape_control(cause_text(error)[:300])}",
        hint="Correct that file, or remove `credsStore` and `credHelpers` from it if the program\n"
        "that they name is not installed here.",
        code="engine.docker-settings",
    )


def _reads_settings(error: BaseException) -> bool:
    """Tell whether an exception comes from where the SDK reads the settings of Docker."""
    passed = _passed(error)
    if not {"docker.auth", "docker.utils.config", "docker.utils.proxy"}.isdisjoint(passed):
        return True
    # The client itself looks into them, before it opens a connection and before each request.
    return (
        isinstance(error, (AttributeError, TypeError))
        and "docker.api.client" in passed
        and "requests.adapters" not in passed
        and _raised_in(error) != "_retrieve_server_version"
    )


def _raised_in(error: BaseException) -> str:
    passed = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    return passed[-1] if passed else ""


def config_file() -> Path:
    """Return the file of Docker's settings that the SDK reads."""
    from docker.utils import config

    return Path(config.find_config_file() or Path.home() / ".docker" / "config.json")


def _explanation(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error)


def _chain(error: BaseException) -> list[BaseException]:
    """Return an exception and those that caused it, six at most."""
    found: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and len(found) < 6:
        found.append(seen)
        seen = seen.__cause__ or seen.__context__
    return found


def cause_text(error: BaseException) -> str:
    """Return the texts of ``error`` and of what caused it, in one line."""
    return " <- ".join(f"{type(one).__name__}: {one}" for one in _chain(error))


def explain_contact(text: str, address: Address, machine: Machine) -> tuple[str, str]:
    """Return message and hint for a first contact that failed with ``text``."""
    where = f"{address.url} ({address.origin})"
    host = urlsplit(address.url).hostname or "the host"
    login = address.url.removeprefix("ssh://")
    rules = (
        (
            ("Permission denied", "PermissionError"),
            *_known(
                f"this user may not talk to the Docker engine at {where}",
                'sudo usermod -aG docker "$USER", then log in again. Or use rootless Docker.',
            ),
        ),
        (
            ("not found in known_hosts", "BadHostKeyException"),
            *_known(
                f"the SSH host key of {host} is not the known one, or not known yet",
                f"Check its fingerprint, then connect once by hand: ssh {login}",
            ),
        ),
        (
            ("AuthenticationException", "No authentication methods", "SSHException: No existing"),
            *_known(
                f"{host} accepted none of the SSH keys",
                f"Try: ssh {login} docker info. Load your key with ssh-add, or set IdentityFile.",
            ),
        ),
        (
            ("gaierror", "Name or service not known", "nodename nor servname"),
            *_known(
                f"the name {host} cannot be resolved",
                "Check the address of the engine, the network and the VPN.",
            ),
        ),
        (
            ("dial-stdio", "command not found"),
            *_known(
                f"{host} is reached, but has no docker command in its PATH",
                f"Install Docker there; check with: ssh {login} docker version",
            ),
        ),
    )
    for marks, message, hint in rules:
        if any(mark in text for mark in marks):
            return message, hint
    refused = re.search(
        r"\b(\d{3} (?:Server|Client) Error)[^(]*\((.+?)\)(?: <- |$)", text, re.DOTALL
    )
    if refused is not None:
        said = shorten(refused[2].strip("\"' "))
        return _known(
            f"the engine at {where} answers with an error ({refused[1]}): {said}",
            "One that is still starting answers so for a minute. See what it tells: docker version",
        )
    if "BadStatusLine" in text or "JSONDecodeError" in text:
        return _known(
            f"what answers at {where} is not a Docker engine",
            f"Is that the engine's address? See what it says: docker -H {address.url} version",
        )
    if urlsplit(address.url).scheme in {"unix", "npipe"}:
        hint = (
            f"{how_to_start(address, machine)}\n"
            "Or choose another one: --engine ssh://user@host, or a Docker context.\n"
            "The emulator also runs without Docker: --engine local"
        )
        return _known(f"no Docker engine answers at {where}", hint + _what_local_needs())
    return _known(
        f"no Docker engine answers at {where}: {escape_control(text[:200])}",
        "See whether it can be reached from here: docker info",
    )


def _known(message: str, hint: str) -> tuple[str, str]:
    """Return both; catalogues of other languages find them by this call."""
    return message, hint


def _what_local_needs() -> str:
    """Return the rest of a hint: what the local engine lacks here, as a command; or nothing."""
    from orchestrator.installation import install_command, missing_modules

    return f", after\n{install_command('emulator')}" if missing_modules() else ""

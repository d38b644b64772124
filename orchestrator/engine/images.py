"""Images: found, loaded, and built from pinned bases, tagged by the digest of their context.

The classic builder of the engine's API is used, which every engine has, near or far; buildx is
not needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orchestrator import paths
from orchestrator.engine import context as contexts
from orchestrator.engine.base import ImageBuildError, ImageInfo, Progress, Report, ignore
from orchestrator.engine.box import LABEL
from orchestrator.engine.facts import normal_architecture
from orchestrator.engine.failures import heard
from orchestrator.engine.logins import bases
from orchestrator.engine.owner import owner_id
from orchestrator.errors import escape_control

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.engine.client import Connection

#: Names of our own images; their tags are digests of the files that they are made of.
EMULATOR = "hefsmith-emulator"
PI = "hefsmith-pi"

#: The layer with an environment for exports on top of a suite; tagged by the suite's id.
SUITE_EXPORT = "hefsmith-suite-export"

#: Variables of the host that a build behind a proxy needs; Docker knows them by itself.
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

#: What engines say when they cannot fetch the base: refused there, or not reached at all.
NO_BASE = ("pull access denied", "manifest", "no such host", "dial tcp", "failed to resolve")

#: What they say when a base is not for everybody.
NO_LOGIN = ("unauthorized", "authentication required", "denied", "forbidden", "pull rate limit")

#: Seconds that a build or a load may be silent: a suite's archive takes up to 45 minutes.
SILENCE = 3600


def find(connection: Connection, reference: str) -> ImageInfo | None:
    """Return the image that the engine has under a tag or id, else ``None``; never pulls."""
    import docker.errors

    with connection.calls(f"looking for the image {escape_control(reference)}"):
        try:
            found = connection.api.inspect_image(reference)
        except docker.errors.ImageNotFound:
            return None
        except docker.errors.APIError as error:
            # A path with capitals or a drive: what cannot be a name is no image's.
            if "invalid reference format" not in str(error):
                raise
            return None
    return read_image(found)


def read_image(found: Mapping[str, Any]) -> ImageInfo:
    """Return the facts of ``docker image inspect`` (one JSON object)."""
    config = found.get("Config") or {}
    variables = (str(one).partition("=") for one in config.get("Env") or [])
    return ImageInfo(
        id=str(found["Id"]),
        tags=tuple(found.get("RepoTags") or ()),
        size=int(found.get("Size") or 0),
        architecture=normal_architecture(str(found.get("Architecture") or "")),
        created=str(found.get("Created") or ""),
        user=str(config.get("User") or ""),
        env={name: value for name, _, value in variables},
        labels=dict(config.get("Labels") or {}),
        content=content_digest(found),
    )


#: Settings of an image that change what runs in it. Engines differ in how they write others,
#: and whether they write empty ones at all.
SETTINGS = ("Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "User", "Volumes", "WorkingDir")


def content_digest(found: Mapping[str, Any]) -> str:
    """Return the sha256 of an image's layers, unpacked, and settings; '' if they are not told.

    ``found`` is ``docker image inspect`` (one JSON object). The same archive has the same digest
    on every engine, whatever id the engine gives to it.
    """
    layers = (found.get("RootFS") or {}).get("Layers")
    if not layers:
        return ""
    config = found.get("Config") or {}
    document = {
        "architecture": normal_architecture(str(found.get("Architecture") or "")),
        "layers": layers,
        "os": found.get("Os"),
        "settings": {name: config[name] for name in SETTINGS if config.get(name)},
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def listing(connection: Connection) -> tuple[ImageInfo, ...]:
    """Return every tagged image that the engine has."""
    with connection.calls("listing images"):
        found = connection.api.images()
        tagged = [one for one in found if any(t != "<none>:<none>" for t in one["RepoTags"] or [])]
        return tuple(read_image(connection.api.inspect_image(one["Id"])) for one in tagged)


def build(
    connection: Connection,
    context: contexts.Context,
    *,
    tag: str,
    target: str | None = None,
    arguments: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    report: Report = ignore,
) -> ImageInfo:
    """Build an image and return it; lines and steps of the build are reported.

    The context must hold a ``Dockerfile``. Raises :class:`ImageBuildError` with the last lines.
    What the build leaves behind beside the image is marked as ours, for ``hef prune``.
    """
    owned = {f"{LABEL}.owner": owner_id()}
    context = mark_stages(context, {f"{LABEL}.stage": "1", **owned})
    tail: list[str] = []
    failed: str | None = None
    proxies = {name: os.environ[name] for name in PROXIES if os.environ.get(name)}
    dockerfile = context.blobs["Dockerfile"].data.decode()
    absent = [base for base in bases(dockerfile, arguments or {}) if find(connection, base) is None]
    with connection.calls(f"building {tag}"):
        logins = connection.take_along(absent)
        news = connection.api.build(
            fileobj=context.stream(report),
            custom_context=True,
            tag=tag,
            target=target,
            buildargs={**proxies, **(arguments or {})},
            labels={f"{LABEL}.built": "1", **owned, **(labels or {})},
            rm=True,
            forcerm=True,
            decode=True,
            timeout=SILENCE,
        )
        for one in news:
            if not isinstance(one, dict):
                continue
            if "error" in one:
                # Read on to the end, so that the connection can be used again.
                failed = str(one["error"])
            for line in str(one.get("stream") or "").splitlines():
                if not line.strip():
                    continue
                tail = [*tail[-20:], line]
                if step := re.match(r"Step (\d+)/(\d+)", line):
                    done, total = int(step.group(1)), int(step.group(2))
                    report(Progress(f"building {tag}", done - 1, total, unit="steps"))
                report(line.rstrip())
    image = None if failed else find(connection, tag)
    if failed is not None:
        raise explain_failure(tag, failed, tail, logins.trouble)
    if image is None:
        raise explain_failure(tag, "the engine has no such image afterwards", tail)
    return image


def mark_stages(context: contexts.Context, labels: Mapping[str, str]) -> contexts.Context:
    """Return the context with labels as the first step of each stage of its ``Dockerfile``.

    The engine's builder gives the labels of a build to the last stage alone, and leaves an image
    without a name of each other one, and of a build that failed.
    """
    dockerfile = context.blobs["Dockerfile"].data.decode()
    words = " ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    marked = re.sub(r"(?im)^(FROM\s.*)$", rf"\1\nLABEL {words}", dockerfile)
    blob = contexts.Blob(marked.encode())
    return contexts.Context({**context.blobs, "Dockerfile": blob}, context.wheels)


# The lines with which a tool begins to tell why it refuses. Its first line and the rest may take
# two ways, standard error and output, and the engine hands them over in either order.
_BEGINS = re.compile(
    r"(?i)\s*(?:error|fatal|e):|the conflict is caused by:|the following packages have unmet dep"
)


def _last_words(tail: list[str]) -> list[str]:
    """Return the last lines of a build: eight, or more when what failed began further up."""
    failed = (n for n, line in enumerate(tail) if _BEGINS.match(line))
    return tail[min(next(failed, len(tail)), max(len(tail) - 8, 0)) :]


def explain_failure(
    tag: str, said: str, tail: list[str], login: str | None = None
) -> ImageBuildError:
    """Return the error for a build that failed: its last lines, and what to do about them.

    ``login`` is why no login could be had for the registry of the base.
    """
    lines = "\n".join(escape_control(line) for line in [*_last_words(tail), said.strip()])
    text = lines.lower()
    hint = "Run again with --debug for the whole output."
    code = None
    if (known := heard(said)) is not None:
        lines, hint, code = f"{lines}\n{known.meaning}", known.hint, known.code
    elif "from versions: none" in text or "no matching distribution" in text or "ssl" in text:
        hint = (
            "The build could not fetch packages. Behind a proxy that re-signs traffic, set\n"
            "PIP_CERT to your CA bundle; without internet, put the wheels of\n"
            "docker/emulator/requirements.txt into docker/emulator/wheels (pip download -d), or\n"
            f"into {paths.user_cache() / 'wheels' / 'emulator'}."
        )
    elif any(mark in text for mark in NO_BASE):
        hint = (
            "The base image could not be pulled. Load one by hand (docker load), and name it\n"
            "with HEFSMITH_BASE_IMAGE: any image with apt, or with Python 3.11 and venv."
        )
    if login is not None and any(mark in text for mark in (*NO_BASE, *NO_LOGIN)):
        hint = f"It was tried without a login: {login}\n{hint}"
    return ImageBuildError(f"building {tag} failed:\n{lines}", hint=hint, code=code)


def ready(connection: Connection, name: Literal["emulator", "pi"]) -> ImageInfo | None:
    """Return one of our images as its files are now, ``None`` if it would have to be built."""
    return find(connection, plan_emulator().tag if name == "emulator" else plan_pi()[0])


def ensure(
    connection: Connection, name: Literal["emulator", "pi"], *, report: Report = ignore
) -> ImageInfo:
    """Return one of our images, built now if its files are not those of the one that is there."""
    if name == "emulator":
        return _ensure_emulator(connection, report)
    return _ensure_pi(connection, report)


def base_arguments() -> dict[str, str]:
    """Return the arguments of a build for the base image that the user names, if any."""
    base = os.environ.get("HEFSMITH_BASE_IMAGE")
    return {"BASE": base} if base else {}


@dataclass(frozen=True, slots=True)
class EmulatorPlan:
    """The emulator's two images: what it stands on (slow to build), and its code on top."""

    runtime_tag: str
    runtime: Mapping[str, contexts.Blob]
    tag: str
    context: contexts.Context


def plan_emulator() -> EmulatorPlan:
    """Return the emulator's images as this installation's files make them."""
    folder = paths.image_context("emulator")
    dockerfile = (folder / "Dockerfile").read_text(encoding="utf-8")
    recipe = _dockerfile(contexts.until_stage(dockerfile, "runtime"), base_arguments())
    runtime = {**contexts.runtime_tree(folder), **recipe}
    runtime_tag = f"{EMULATOR}-runtime:{contexts.Context(runtime).digest[:16]}"
    code = contexts.emulator_tree(folder, paths.worker_package(), contexts.program_package())
    recipe = _dockerfile(contexts.cut_stage(dockerfile, "emulator", runtime_tag), {})
    context = contexts.Context({**code, **recipe})
    return EmulatorPlan(runtime_tag, runtime, f"{EMULATOR}:{context.digest[:16]}", context)


def _ensure_emulator(connection: Connection, report: Report) -> ImageInfo:
    plan = plan_emulator()
    image = find(connection, plan.tag)
    if image is not None:
        return image
    if find(connection, plan.runtime_tag) is None:
        folder = paths.image_context("emulator")
        wheels = emulator_wheels(folder)
        settings = {} if wheels else pip_settings().files()
        build(
            connection,
            contexts.Context({**plan.runtime, **settings}, contexts.wheel_entries(wheels, folder)),
            tag=plan.runtime_tag,
            target="runtime",
            arguments=base_arguments(),
            report=report,
        )
    labels = {f"{LABEL}.emulator": emulator_digest()}
    return build(connection, plan.context, tag=plan.tag, labels=labels, report=report)


def emulator_digest() -> str:
    """Return the sha256 of the emulator's code and pins: its identity in any engine."""
    folder = paths.image_context("emulator")
    code = contexts.emulator_tree(folder, paths.worker_package(), contexts.program_package())
    pins = contexts.read_files(folder, ("requirements.txt",), "docker/emulator")
    return contexts.Context({**code, **pins}).digest


def _dockerfile(text: str, arguments: Mapping[str, str]) -> dict[str, contexts.Blob]:
    """Return the Dockerfile as a file; the build arguments are noted in it, so they count."""
    notes = "".join(f"# {name}={value}\n" for name, value in sorted(arguments.items()))
    return {"Dockerfile": contexts.Blob(f"{text.rstrip()}\n{notes}".encode())}


def emulator_wheels(folder: Path) -> tuple[Path, ...]:
    """Return the wheels for machines without internet.

    They are looked for in the user's cache, the checkout, and ``HEFSMITH_WHEELS``; the last
    one that has a file wins.
    """
    places = [paths.user_cache() / "wheels" / "emulator", folder / "wheels"]
    if given := os.environ.get("HEFSMITH_WHEELS"):
        places.append(Path(given))
    found: dict[str, Path] = {}
    for place in places:
        found.update({one.name: one for one in sorted(place.glob("*.whl"))})
    return tuple(found.values())


def pip_settings() -> contexts.PipSettings:
    """Return what the host's pip is set to, as far as it means something in a container."""
    command = [sys.executable, "-P", "-m", "pip", "config", "list"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return contexts.read_pip_settings(os.environ, "")
    return contexts.read_pip_settings(os.environ, listed.stdout)


def plan_pi() -> tuple[str, dict[str, contexts.Blob]]:
    """Return tag and files of the stand-in Pi's image, as this installation's files make it."""
    folder = paths.image_context("pi")
    emulator = paths.image_context("emulator")
    text = (folder / "Dockerfile").read_text(encoding="utf-8")
    files = {
        **contexts.read_folder(folder, "docker/pi"),
        **contexts.emulator_tree(emulator, paths.worker_package(), contexts.program_package()),
        **_dockerfile(text, base_arguments()),
    }
    return f"{PI}:{contexts.Context(files).digest[:16]}", files


def _ensure_pi(connection: Connection, report: Report) -> ImageInfo:
    folder = paths.image_context("pi")
    tag, files = plan_pi()
    image = find(connection, tag)
    if image is not None:
        return image
    wheels = tuple(sorted((folder / "wheels").glob("*.whl")))
    if not wheels:
        files |= pip_settings().files("docker/pi/wheels")
    context = contexts.Context(
        files, contexts.wheel_entries(wheels, folder, under="docker/pi/wheels")
    )
    return build(connection, context, tag=tag, arguments=base_arguments(), report=report)

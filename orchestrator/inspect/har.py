"""Look into a HAR: a tar with the network as the parser or the optimiser left it."""

from __future__ import annotations

import tarfile
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.errors import escape_control
from orchestrator.hef.errors import HefTooLargeError, HefUnreadableError, ModelFileError
from orchestrator.reading import parse_json
from orchestrator.unpacking import DAMAGED, open_tar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from rich.console import RenderableType

    from orchestrator.hef.render import Say

_MAX_MEMBERS: Final = 10_000
#: JSON and script members are small; weights are never read.
_MAX_TEXT: Final = 64 << 20

#: Endings of members that end like another kind.
_OTHERS: Final = {".hn": (".native.hn", ".fp.hn"), ".alls": (".auto.alls",)}


@dataclass(frozen=True)
class Har:
    """What a HAR holds.

    ``state`` is as the SDK wrote it (``hailo_model``, ``quantized_model``, ``compiled_model``)
    or told from the members; ``layers`` counts layers by type; ``shapes`` has (name, shape) of
    inputs and outputs as in the HN (batch first, NHWC).
    """

    name: str
    size: int
    network: str | None
    state: str
    hw_arch: str | None
    sdk_version: str | None
    layers: Mapping[str, int]
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    outputs: tuple[tuple[str, tuple[int, ...]], ...]
    script: str | None
    members: tuple[tuple[str, int], ...]


def read_har(path: Path) -> Har:
    """Read a HAR. Raises ``HefUnreadableError``, ``HefTooLargeError`` or ``ModelFileError``."""
    try:
        with open_tar(path) as tar:
            members = _members(tar, path.name)
            if not members:
                message = f"{path.name} is not a HAR: the archive is empty"
                raise ModelFileError(message, code="har.not-a-har")
            texts = {
                suffix: _text(tar, members, suffix)
                for suffix in (".hn", ".metadata.json", ".alls", ".auto.alls")
            }
        size = path.stat().st_size
    except OSError as error:
        message = f"cannot read {path.name}: {error.strerror or error}"
        raise HefUnreadableError(message) from error
    except (tarfile.TarError, EOFError, ValueError, MemoryError, *DAMAGED) as error:
        message = f"{path.name} is not a HAR: {error}"
        raise ModelFileError(message, code="har.not-a-har") from error
    hn = _json(texts[".hn"], path.name, ".hn")
    metadata = _json(texts[".metadata.json"], path.name, ".metadata.json")
    layers = _mapping(hn.get("layers"))
    return Har(
        name=path.name,
        size=size,
        network=_string(hn.get("name")),
        state=_state(metadata, members),
        hw_arch=_string(metadata.get("hw_arch")),
        sdk_version=_string(metadata.get("sdk_version")),
        layers=Counter(_string(_mapping(layer).get("type")) or "?" for layer in layers.values()),
        inputs=_shapes(layers, "input_layer"),
        outputs=_shapes(layers, "output_layer"),
        script=texts[".alls"] or texts[".auto.alls"],
        members=tuple((member.name, member.size) for member in members),
    )


def _members(tar: tarfile.TarFile, name: str) -> list[tarfile.TarInfo]:
    members = []
    for member in tar:
        members.append(member)
        if len(members) > _MAX_MEMBERS:
            message = f"{name} has more than {_MAX_MEMBERS} members; no real HAR does"
            raise HefTooLargeError(message, code="har.too-large")
    return members


def _text(tar: tarfile.TarFile, members: list[tarfile.TarInfo], suffix: str) -> str | None:
    member = find_member(members, suffix)
    if member is None:
        return None
    if member.size > _MAX_TEXT:
        message = f"{member.name} inside the HAR has {member.size} bytes"
        raise HefTooLargeError(message, code="har.too-large")
    file = tar.extractfile(member)
    return file.read(_MAX_TEXT).decode("utf-8", "replace") if file else None


def find_member(members: Iterable[tarfile.TarInfo], suffix: str) -> tarfile.TarInfo | None:
    """Return the member ``NAME<suffix>``, whatever the order.

    A HAR has several descriptions (``NAME.hn`` as it is now, ``NAME.native.hn``, ``NAME.fp.hn``):
    the plain one is meant, another only where there is none. Scripts have no such stand-in.
    """
    found = [member for member in members if member.isreg() and member.name.endswith(suffix)]
    others = _OTHERS.get(suffix, ())
    plain = [member for member in found if not member.name.endswith(others)] if others else found
    if not plain and suffix == ".hn":
        plain = found
    return plain[0] if plain else None


def _json(text: str | None, name: str, what: str) -> dict[str, object]:
    if text is None:
        return {}
    try:
        return _mapping(parse_json(text))
    except ValueError as error:
        message = f"{what} inside {name} is not valid JSON: {error}"
        raise ModelFileError(message, code="har.json") from error


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _state(metadata: dict[str, object], members: list[tarfile.TarInfo]) -> str:
    if state := _string(metadata.get("state")):
        return state
    names = [member.name for member in members]
    if any(name.endswith((".hef", ".auto.alls")) for name in names):
        return "compiled_model"
    if any(".q.npz" in name or "quant" in name for name in names):
        return "quantized_model"
    return "hailo_model"


def _shapes(layers: dict[str, object], kind: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    found = []
    for name, value in layers.items():
        layer = _mapping(value)
        if layer.get("type") != kind:
            continue
        shapes = layer.get("output_shapes") or layer.get("input_shapes") or [[]]
        shape = shapes[0] if isinstance(shapes, list) and shapes else []
        sides = tuple(side for side in shape if isinstance(side, int)) if shape else ()
        found.append((name, sides))
    return tuple(found)


def har_document(har: Har) -> dict[str, object]:
    """Return a HAR as a JSON document."""

    def tensors(items: tuple[tuple[str, tuple[int, ...]], ...]) -> list[dict[str, object]]:
        return [{"name": escape_control(name), "shape": list(shape)} for name, shape in items]

    return {
        "file": har.name,
        "kind": "har",
        "size": har.size,
        "network": har.network and escape_control(har.network),
        "state": escape_control(har.state),
        "hw_arch": har.hw_arch and escape_control(har.hw_arch),
        "sdk_version": har.sdk_version and escape_control(har.sdk_version),
        "layers": {escape_control(kind): count for kind, count in sorted(har.layers.items())},
        "inputs": tensors(har.inputs),
        "outputs": tensors(har.outputs),
        "script": har.script.splitlines() if har.script else None,
        "members": [{"name": escape_control(name), "size": size} for name, size in har.members],
    }


def render_har(har: Har, *, framed: bool, say: Say = str) -> RenderableType:
    """Return a HAR for people; ``say`` puts messages into the user's language."""
    from rich.text import Text

    from orchestrator.hef.render import Facts, panel, size_text

    facts = Facts(say)
    facts.add("network", Text(escape_control(har.network or "unknown")))
    facts.add("state", Text(escape_control(har.state)))
    for what, value in ((say("architecture"), har.hw_arch), (say("compiler"), har.sdk_version)):
        if value:
            facts.add(what, Text(escape_control(value)))
    layers = ", ".join(
        f"{kind} {count}" for kind, count in sorted(har.layers.items(), key=lambda item: -item[1])
    )
    facts.add("layers", Text(escape_control(f"{sum(har.layers.values())}: {layers}")))
    for what, items in ((say("input"), har.inputs), (say("output"), har.outputs)):
        for name, shape in items:
            sides = "x".join(map(str, shape)) or "?"
            facts.add(what, Text(escape_control(f"{name}  {sides}")))
    for line in (har.script or "").splitlines():
        facts.add("script", Text(escape_control(line)))
    members = ", ".join(f"{name} {size_text(size)}" for name, size in har.members)
    facts.add("members", Text(escape_control(members)))
    title = Text(f"{escape_control(har.name)} (HAR, {size_text(har.size)})", style="bold")
    return panel(title, [facts], style="blue", framed=framed)

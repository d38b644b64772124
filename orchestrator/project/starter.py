"""A first recipe for a network: what its graph says, written as commented YAML."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.families import proposed_cut
from hefsmith_worker.contract.known import KnownSettings, known_for
from hefsmith_worker.contract.options import CALIBRATION, FULL_IMAGES, NMS

from orchestrator.inspect.checkpoint import ULTRALYTICS_DEFAULT_SIDE, ULTRALYTICS_SIDE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hefsmith_worker.graph.model import Graph

#: Families that are trained on letterboxed pictures of 0..1.
_LETTERBOXED = re.compile(r"^(yolo|nanodet)")
#: What pictures go through before they are turned round.
_SCALES = frozenset({"Add", "Cast", "Div", "Identity", "Mul", "Sub"})
_PLAIN_WORD = re.compile(r"^[A-Za-z_./][A-Za-z0-9_./-]*$")
_RESERVED = frozenset(("true", "false", "null", "yes", "no", "on", "off", "~"))
_SHOWN_REASONS = 4


@dataclass(frozen=True)
class Network:
    """What is known of the network: its inputs (NCHW) and the report on its head.

    ``arrays`` tells that its samples are arrays, although its input could be that of pictures.
    """

    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    head: Mapping[str, Any] = field(default_factory=dict)
    arrays: bool = False


@dataclass(frozen=True)
class Pictures:
    """The pictures of a recipe, as it will name them: a path, or a mapping with options.

    ``held_out`` are for validation, ``classes`` the names of the folders' classes. ``arrays`` and
    ``held_out_arrays`` are those of inputs that are no pictures, by input.
    """

    calibration: str | Mapping[str, str] | None = None
    held_out: str | Mapping[str, str] | None = None
    arrays: Mapping[str, str] = field(default_factory=dict)
    held_out_arrays: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


def starter_recipe(
    source: Mapping[str, Any], network: Network, *, pictures: Pictures, arch: str
) -> dict[str, Any]:
    """Return a recipe for a network; what nobody can know has the commonest value."""
    recipe: dict[str, Any] = {"schema": 1, "source": dict(source)}
    if network.inputs:
        recipe["inputs"] = {name: list(shape) for name, shape in network.inputs.items()}
    if "torch" in source:
        recipe["export"] = {"exporter": "legacy", "opset": 13}
    recipe["preprocessing"] = assumed_preprocessing(network)
    recipe["calibration"] = {"source": _sources(network, pictures), "count": CALIBRATION.count}
    recipe["arch"] = [arch]
    recipe["postprocess"] = _postprocess(network.head)
    if _shows_classes(network, pictures):
        recipe["postprocess"].update(task="classification", labels=list(pictures.classes))
    if pictures.held_out_arrays and len(pictures.held_out_arrays) == len(network.inputs):
        own = dict(pictures.held_out_arrays)
        recipe["validation"] = {"source": own if len(own) > 1 else next(iter(own.values()))}
    elif pictures.held_out is not None and len(network.inputs) < 2:
        recipe["validation"] = {"source": pictures.held_out}
    return recipe


def _sources(network: Network, pictures: Pictures) -> object:
    """Return the calibration's source: one, or one for each of several inputs."""
    free = pictures.calibration
    # An array that was named is for what is no picture, if there is such an input.
    plain = isinstance(free, str) and is_array(free)
    if plain and free in pictures.arrays.values():
        # Its shape told for which input it is.
        free = None
    wants_data = plain and not all(map(is_picture, network.inputs.values()))
    found: dict[str, object] = {}
    for name, shape in network.inputs.items():
        if name in pictures.arrays:
            found[name] = pictures.arrays[name]
        elif is_picture(shape) != wants_data and free is not None:
            found[name], free = free, None
        elif is_picture(shape) and len(network.inputs) == 1:
            found[name] = "calib/images"
        elif is_picture(shape) and pictures.calibration is not None and not plain:
            # Another picture of the same kind: the two of a pair, frames one after another.
            found[name] = pictures.calibration
        elif len(network.inputs) == 1 and free is not None:
            found[name] = free
        else:
            found[name] = f"calib/{name}.npy"
    if not found:
        return pictures.calibration or "calib/images"
    return found if len(found) > 1 else next(iter(found.values()))


def _shows_classes(network: Network, pictures: Pictures) -> bool:
    """Tell whether folders are the network's classes, as far as its head is known."""
    if not pictures.classes:
        return False
    head = network.head
    if not head or head.get("task") == "other":
        return not head
    return head.get("task") == "classification" and head.get("classes") in (
        None,
        len(pictures.classes),
    )


def inputs_as_built(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Return a graph's inputs in the form that the build gives them: (1, C, H, W).

    A file may have another batch, or pictures as (N, H, W, C) that it turns round at once; the
    export brings both into form (``hefsmith_worker.onnx_forms``).
    """
    found = {}
    for name, shape in graph.inputs.items():
        users = graph.consumers.get(name, [])
        while users and all(node.op in _SCALES for node in users):
            users = [after for node in users for after in graph.consumers.get(node.outputs[0], [])]
        turned = bool(users) and all(
            node.op == "Transpose" and list(node.get("perm", ())) == [0, 3, 1, 2] for node in users
        )
        sides = shape[1:]
        found[name] = (1, sides[2], *sides[:2]) if len(sides) == 3 and turned else (1, *sides)
    return found


def ultralytics_recipe(
    weights: str, task: str, *, pictures: Pictures, arch: str, side: int | None = None
) -> dict[str, Any]:
    """Return a recipe for a checkpoint of Ultralytics; its settings are those it trains with."""
    side = side or ULTRALYTICS_SIDE.get(task, ULTRALYTICS_DEFAULT_SIDE)
    network = Network({"images": (1, 3, side, side)}, {"task": task})
    recipe = starter_recipe({"weights": weights}, network, pictures=pictures, arch=arch)
    preset = "ultralytics-classify" if task == "classification" else "ultralytics"
    recipe["preprocessing"] = {"preset": preset, "size": [side, side]}
    head = {key: recipe.pop(key) for key in ("schema", "source", "inputs")}
    return {**head, "export": {"packages": ["ultralytics"]}, **recipe}


def assumed_preprocessing(network: Network) -> dict[str, Any]:
    """Return the commonest preprocessing of such a network, by input where there are several."""
    if len(network.inputs) > 1:
        return {
            name: assumed_preprocessing(Network({name: shape}, network.head))
            for name, shape in network.inputs.items()
        }
    shapes = network.inputs.values()
    if network.inputs and (network.arrays or not all(is_picture(shape) for shape in shapes)):
        # Arrays of the user's own; who normalises them nobody can know.
        return {"color": "data", "normalize": "host"}
    pictures = [shape for shape in network.inputs.values() if len(shape) == 4]
    section: dict[str, Any] = {}
    channels = 3
    if len(pictures) == 1:
        channels = pictures[0][1]
        section["size"] = list(pictures[0][2:])
    head = network.head
    if _LETTERBOXED.match(str(head.get("family", ""))):
        section.update({"resize": "letterbox", "pad": 114, "mean": [0], "std": [255]})
    elif head.get("task") == "classification" and channels == 3:
        section.update({"preset": "imagenet", "resize": "shorter_then_crop"})
    else:
        section.update({"resize": "stretch", "mean": [0], "std": [255]})
    section["color"] = "gray" if channels == 1 else "rgb"
    section["normalize"] = "chip"
    return section


def is_array(source: str) -> bool:
    """Tell whether a calibration source is a file of arrays."""
    return source.lower().endswith((".npy", ".npz"))


def is_picture(shape: Sequence[int]) -> bool:
    """Tell whether an input (N, C, H, W) may take pictures; a single row of numbers is none."""
    return len(shape) == 4 and shape[1] in (1, 3) and min(shape[2:]) > 1


def _postprocess(head: Mapping[str, Any]) -> dict[str, Any]:
    task = {"oriented boxes": "obb", None: "auto", "other": "auto"}.get(
        head.get("task"), head.get("task")
    )
    section: dict[str, Any] = {"task": task}
    if task == "detection":
        nms: dict[str, Any] = {name: getattr(NMS, name) for name in ("score", "iou", "max_boxes")}
        if head.get("classes"):
            nms["classes"] = head["classes"]
        section["nms"] = nms
    return section


_COMMENTS = {
    "source": "Where the network comes from. Paths are relative to this file.",
    "inputs": "Inputs by name, batch first: [1, channels, height, width].",
    "export": "How torch becomes ONNX.",
    "preprocessing": "What happens to a picture; mean and std in units of 0..255.",
    "parser": "Where the network is cut for the chip.",
    "validation": "Pictures that are never calibrated on, with labels where folders are classes.",
    "calibration": "Pictures like those the device will see: the folder, and how many to use.",
    "optimization": "What the compiler's optimisation is asked for.",
    "arch": "The chip; hef device identify tells which one your Pi has.",
    "postprocess": "What the outputs mean.",
}


#: The order of a recipe's sections.
_ORDER = (
    "schema", "source", "inputs", "export", "preprocessing", "parser", "calibration",
    "validation", "optimization", "arch", "postprocess",
)  # fmt: skip


def render_recipe(
    recipe: Mapping[str, Any],
    network: Network,
    notes: Sequence[str] = (),
    comments: Mapping[str, Sequence[str]] | None = None,
    schema: str | None = None,
) -> str:
    """Write a recipe as YAML with a comment to each section.

    ``comments`` are further ones by section; ``schema`` is where editors find the JSON schema.
    """
    lines = [] if schema is None else [f"# yaml-language-server: $schema={_one_line(schema)}"]
    lines.append("# Recipe for hef; delete what is the default.")
    lines += [f"# NOTE: {_one_line(note)}" for note in notes]
    ordered = sorted(recipe, key=lambda key: _ORDER.index(key) if key in _ORDER else len(_ORDER))
    for key in ordered:
        value = recipe[key]
        if key in _COMMENTS:
            lines.append(f"# {_COMMENTS[key]}")
        more = (comments or {}).get(key, ())
        lines += [f"#   {_one_line(comment)}" for comment in more]
        if key == "postprocess":
            lines += _found(network.head)
        lines += _section(key, value)
    lines += _known(network.head)
    return "\n".join(lines) + "\n"


def _known(head: Mapping[str, Any]) -> list[str]:
    """Return settings that are known to keep the accuracy of such networks, as comments.

    They are lines of a recipe that a user may take over; how many pictures there will be is not
    known here, so each says for how many it is.
    """
    rows = settings_for(head)
    if not rows:
        return []
    lines = ["# Known to keep the accuracy of such networks; not set here, hef tune tries them."]
    for row in rows:
        many = [f"from {row.images} pictures on"] if row.images else []
        many += [f"below {row.below} pictures"] if row.below else []
        when = f" ({', '.join(many)})" if many else ""
        lines.append(f"#   {_one_line(row.name)}{when}: {_one_line(row.said)}")
        lines.append(f"#   Source: {_one_line(row.source)}")
        lines.append("#   optimization:")
        if row.level is not None:
            lines.append(f"#     level: {row.level}")
        if row.outputs_16bit:
            lines.append("#     outputs_16bit: true")
        # The number of pictures is the user's: the line says where it goes.
        scripts = [line.replace("{images}", "COUNT") for line in row.script]
        lines += ["#     script:"] if scripts else []
        lines += [f"#       - {_flow(line)}" for line in scripts]
        if any("COUNT" in line for line in scripts):
            lines.append("#   COUNT is how many calibration pictures there are.")
    return lines


def settings_for(head: Mapping[str, Any]) -> list[KnownSettings]:
    """Return what is known for a head, for few and for many pictures."""
    if not head:
        return []
    layers = tuple(str(one) for one in head.get("layers") or ())
    found = [row for images in (1, FULL_IMAGES) for row in known_for(head, layers, images)]
    return list(dict.fromkeys(found))


def _found(head: Mapping[str, Any]) -> list[str]:
    if not head:
        return []
    if head.get("task") == "other":
        why = "; ".join(str(reason) for reason in head.get("reasons", ()))
        return [f"# The graph's head is of no known kind ({_one_line(why)})."]
    sure = round(100 * float(head.get("confidence", 0)))
    lines = [f"# Found in the graph: {head['task']}, {head['family']}, {sure} % sure."]
    lines += [f"#   {_one_line(str(reason))}" for reason in head["reasons"][:_SHOWN_REASONS]]
    if head.get("task") not in ("classification", "other") and head.get("end_nodes"):
        sure_enough = bool(proposed_cut(head))
        lines.append(
            "# It is cut at these nodes (parser.end_nodes would say otherwise):"
            if sure_enough
            else "# Too unsure to cut it there unasked, or to give it an NMS; where these\n"
            "# nodes are right, name them as parser.end_nodes:"
        )
        lines += [
            f"#   {_one_line(str(name))}: {role}"
            for name, role in zip(head["end_nodes"], head["end_roles"], strict=True)
        ]
    return lines


def _section(key: str, value: Any) -> list[str]:
    if not isinstance(value, dict):
        return [f"{key}: {_flow(value)}"]
    lines = [f"{key}:"]
    for name, item in value.items():
        if isinstance(item, dict):
            inner = ", ".join(f"{_word(k)}: {_flow(v)}" for k, v in item.items())
            lines.append(f"  {_word(name)}: {{{inner}}}")
        elif isinstance(item, list) and item and isinstance(item[0], str) and len(item) > 1:
            lines.append(f"  {_word(name)}:")
            lines += [f"    - {_flow(entry)}" for entry in item]
        else:
            lines.append(f"  {_word(name)}: {_flow(item)}")
    return lines


def _flow(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, (int, float)):
        return repr(value)
    return _word(str(value))


def _word(text: str) -> str:
    """Write a string bare where YAML reads it back as that string, else quoted."""
    if _PLAIN_WORD.match(text) and text.lower() not in _RESERVED:
        return text
    return json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())

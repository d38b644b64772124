"""What a build says of itself: what was asked, what ran, and every way in which it did less.

Pure: the same facts give the same judgement, whether the build was made just now, put together
from the cache, pulled from a store, or found up to date.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.chips import LINE_3, of_line
from hefsmith_worker.contract.counting import counted, some
from hefsmith_worker.contract.findings import Finding
from hefsmith_worker.contract.presets import PRESETS
from hefsmith_worker.contract.trials import OF_PIXELS

from orchestrator.errors import StageFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: What a named level does beyond the lower ones, as logs call it; some of it is skipped in
#: silence where images are missing.
ALGORITHM_OF_LEVEL = {2: "fine-tuning", 3: "adaround", 4: "adaround"}
#: The same for the model script's ``post_quantization_optimization``.
ALGORITHM_OF_COMMAND = {
    "finetune": "fine-tuning",
    "adaround": "adaround",
    "bias_correction": "bias",
    "equalization": "equalization",
}
_ENABLED = re.compile(r"\b(?:post_quantization|pre_quantization)_optimization\(\s*(\w+)([^)]*)\)")
_SIXTEEN = re.compile(r"\bprecision_mode\s*=\s*a16_w16\b")

#: Chips whose matmul takes 8 bits only.
MATMUL_IN_8_BIT = frozenset(chip.name for chip in of_line(LINE_3.compiler))

#: Where nobody could want an NMS, so none that is missing is worth a word.
_NO_BOXES = ("classification", "segmentation", "other")


@dataclass(frozen=True)
class AskedRow:
    """One line of "asked / ran"; ``differs`` when less, or something else, was done."""

    name: str
    asked: str
    ran: str
    differs: bool = False


@dataclass(frozen=True)
class Wishes:
    """What the recipe itself says, where a default would not count as a wish.

    ``written`` are the dotted keys that stand in it, such as ``postprocess.nms.enabled``.
    """

    written: frozenset[str] = frozenset()

    @property
    def nms(self) -> bool:
        """Whether an NMS in the HEF is asked for by name."""
        named = {f"postprocess.nms.{key}" for key in ("enabled", "family", "config")}
        return bool(named & self.written)


def asked_of(
    parameters: Mapping[str, Any], stages: Mapping[str, Mapping[str, Any]]
) -> dict[str, object]:
    """Return what was asked, from the parameters of a plan and the stages' results."""
    optimize = parameters["optimize"]
    script = [str(line) for line in optimize.get("script") or ()]
    export = parameters["export"]
    return {
        "level": optimize["level"],
        "compression": optimize["compression"],
        "images": _result(stages, "optimize").get("images_given"),
        "images_wanted": parameters["calibrate"]["count"],
        # An ONNX file has the opset that it has: none is asked for.
        "opset": None if export["source"]["kind"] == "onnx" else export["opset"],
        "outputs_16bit": optimize["outputs_16bit"],
        "a16_w16": sum(len(_SIXTEEN.findall(line)) for line in script),
        "algorithms": algorithms(script),
        "nms": bool((optimize.get("nms") or {}).get("enabled", True)),
        "end_nodes": list((parameters.get("parse") or {}).get("end_nodes") or ()),
    }


def algorithms(script: Iterable[str]) -> list[str]:
    """Return the algorithms that a script asks for, in the words in which a log says "skipped"."""
    found: list[str] = []
    for line in script:
        if line.lstrip().startswith("#"):
            continue
        for name, rest in _ENABLED.findall(line):
            if name in ALGORITHM_OF_COMMAND and "disabled" not in rest:
                found.append(ALGORITHM_OF_COMMAND[name])
    return list(dict.fromkeys(found))


def promised(asked: Mapping[str, Any], ran: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the algorithms that were asked for by name, or by a level that did run.

    A level that was lowered is told as that; what it skips then is no news.
    """
    level, run = asked.get("level"), ran.get("level_run")
    found = list(asked.get("algorithms") or ())
    if level in ALGORITHM_OF_LEVEL and (run is None or run >= level):
        found.append(ALGORITHM_OF_LEVEL[level])
    return tuple(dict.fromkeys(found))


def nms_finding(summary: Mapping[str, Any], wishes: Wishes) -> Finding | None:
    """Return that an NMS was left out: an error where it was asked for by name."""
    nms = _result(summary["stages"], "optimize").get("nms")
    if not nms or nms.get("made") or not summary["asked"].get("nms"):
        return None
    head = _result(summary["stages"], "parse").get("head") or {}
    wanted = wishes.nms
    why = str(nms.get("why") or "")
    task = (summary.get("postprocess") or {}).get("task", "auto")
    if not wanted and (not why or task in _NO_BOXES):
        return None
    why = why or f"the network is taken for {head.get('task') or 'other'}, which has no boxes"
    return Finding(
        "nms.left-out",
        "error" if wanted else "warning",
        f"no NMS is in the HEF: {why}",
        stage="optimize",
        asked=True,
        got=False,
        fix="Take the raw outputs: postprocess: {nms: {enabled: false}} in the recipe.",
    )


def matmul_finding(summary: Mapping[str, Any]) -> Finding | None:
    """Return that 16 bits were asked for, or beside, products which the chip computes in 8."""
    table = _result(summary["stages"], "optimize").get("precision") or {}
    asked = table.get("asked") or {}
    around = table.get("around_products") or ()
    known = {name: asked[name] for name in around if name in asked}
    return products_in_8_bit(str(summary["arch"]), known)


def products_in_8_bit(arch: str, asked: Mapping[str, str]) -> Finding | None:
    """Return what is wrong with modes asked for products and the layers right beside them."""
    wide = {name: mode for name, mode in sorted(asked.items()) if mode.startswith("a16")}
    if not wide or arch not in MATMUL_IN_8_BIT:
        return None
    mode = next(iter(wide.values()))
    return Finding(
        "precision.matmul",
        "warning",
        f"16 bits ({mode}) are asked for or beside products of attention (MatMul), which {arch} "
        f"computes in 8 bits: {_names(list(wide))}",
        stage="optimize",
        asked=mode,
        got="a8_w8",
        fix="Name only layers behind the attention in quantization_param.",
    )


def scaling_findings(
    scaling: Mapping[str, Mapping[str, Sequence[float]]], preprocessing: Mapping[str, Any]
) -> list[Finding]:
    """Return inputs that are scaled by the network and the recipe, or by neither.

    ``scaling`` is what each network input is scaled by in the graph itself, as the stage export
    tells it; ``preprocessing`` is the recipe's, ``shared`` or ``by_input``.
    """
    found = []
    for name, own in scaling.items():
        entry = _with_preset(
            (preprocessing.get("by_input") or {}).get(name) or preprocessing.get("shared") or {}
        )
        if entry.get("color") == "data":
            continue
        given = entry.get("std")
        outside = list(given) if isinstance(given, list | tuple) else [given or 255.0]
        if entry.get("normalize") == "none":
            outside = [1.0]
        words = f"(x - {_numbers(own['mean'])}) / {_numbers(own['std'])}"
        if min(own["std"]) >= OF_PIXELS and min(outside) >= OF_PIXELS:
            found.append(
                Finding(
                    "preprocessing.twice",
                    "warning",
                    f"input {name} is scaled twice: the network itself computes {words}, "
                    f"and the recipe divides by {_numbers(outside)} before",
                    stage="export",
                    fix="Write preprocessing: {normalize: none}, unless it was trained so.",
                )
            )
        elif max(own["std"]) < OF_PIXELS / 2 and max(outside) < OF_PIXELS / 2:
            found.append(
                Finding(
                    "preprocessing.never",
                    "warning",
                    f"input {name} gets pixels of 0..255: the network itself computes {words}, "
                    "which is for 0..1",
                    stage="export",
                    fix="Write preprocessing: {mean: [0], std: [255], normalize: chip}, "
                    "unless it was trained so.",
                )
            )
    return found


def counts(finding: Mapping[str, Any]) -> bool:
    """Tell whether a stage's finding is one that ``--strict`` does not let pass."""
    return finding.get("severity") in ("warning", "error")


def refuse(
    model: str,
    *,
    strict: bool,
    downgrades: Sequence[Finding],
    findings: Iterable[Mapping[str, Any]],
) -> None:
    """Raise :class:`StageFailed` for a build that is not what was asked.

    A wish by name that was not met always is; under ``strict`` so is each warning.
    """
    unmet = [finding for finding in downgrades if finding.severity == "error"]
    if unmet:
        msg = f"{model}: " + "; ".join(finding.message for finding in unmet)
        hint = "\n".join(finding.fix for finding in unmet if finding.fix)
        raise StageFailed(msg, hint=hint or None, code=f"stage.{unmet[0].code}")
    if not strict:
        return
    less = [finding.message for finding in downgrades]
    warned = [str(finding["message"]) for finding in findings if counts(finding)]
    if less or warned:
        what = "less was done than was asked: " if less else "there are warnings: "
        msg = f"{model}: {what}" + "; ".join(dict.fromkeys([*less, *warned]))
        hint = "Change what is asked, or build without --strict (strict: false)."
        raise StageFailed(msg, hint=hint, code="stage.downgraded")


# --- rows ---------------------------------------------------------------------------------------


def rows(summary: Mapping[str, Any]) -> list[AskedRow]:
    """Return what was asked beside what ran; what nobody knows is left out, never guessed."""
    asked, ran = summary.get("asked") or {}, summary.get("ran") or {}
    stages = summary.get("stages") or {}
    opset = _result(stages, "export").get("opset")
    found = [
        AskedRow(
            "optimisation level",
            _text(asked.get("level"), "vendor's default"),
            _text(ran.get("level_run")),
            None not in (asked.get("level"), ran.get("level_run"))
            and ran["level_run"] != asked["level"],
        ),
        AskedRow(
            "calibration images",
            f"up to {_text(asked.get('images_wanted'), '-')}",
            f"{_text(asked.get('images'))} found, {_text(ran.get('images_used'))} used",
            None not in (asked.get("images"), ran.get("images_used"))
            and ran["images_used"] < asked["images"],
        ),
        AskedRow(
            "ONNX opset",
            _text(asked.get("opset"), "-"),
            _text(opset),
            None not in (asked.get("opset"), opset) and opset != asked["opset"],
        ),
        AskedRow("compression", _text(asked.get("compression"), "-"), _weights(ran)),
    ]
    precision = _result(stages, "optimize").get("precision") or {}
    if precision.get("counts"):
        found.append(_precision(precision))
    elif asked.get("outputs_16bit") or asked.get("a16_w16") or ran.get("demoted_layers"):
        found.append(_sixteen(asked, ran))
    nms = _result(stages, "optimize").get("nms")
    if nms and (nms.get("made") or nms.get("why")):
        found.append(_nms(asked, nms))
    parse = _result(stages, "parse")
    if asked.get("end_nodes") or parse.get("cut"):
        wanted, used = asked.get("end_nodes") or (), parse.get("end_nodes") or ()
        found.append(AskedRow("end nodes", _names(wanted) or "found by hef", _names(used) or "?"))
    found += _pictures(summary)
    mends = _result(stages, "export").get("mends") or ()
    if mends:
        found.append(AskedRow("the graph", "as it is", "; ".join(map(str, mends))))
    return found


def _weights(ran: Mapping[str, Any]) -> str:
    layers = ran.get("four_bit_layers") or []
    return f"{counted(len(layers), 'layer')} with 4-bit weights" if layers else "8-bit weights"


def _sixteen(asked: Mapping[str, Any], ran: Mapping[str, Any]) -> AskedRow:
    wanted = ["outputs"] if asked.get("outputs_16bit") else []
    if asked.get("a16_w16"):
        wanted.append(f"{counted(asked['a16_w16'], 'line')} of the script")
    demoted = ran.get("demoted_layers") or []
    got = "no refusal is logged"
    if demoted:
        got = f"8 bits in {counted(len(demoted), 'layer')}: {_names(demoted)}"
    return AskedRow("16 bits (a16_w16)", ", ".join(wanted) or "-", got, bool(demoted))


def _precision(precision: Mapping[str, Any]) -> AskedRow:
    """Return the layers by mode, as asked by name and as the quantised network says."""

    def by_mode(counts: Mapping[str, int]) -> str:
        parts = [f"{count} x {mode}" for mode, count in sorted(counts.items())]
        return ", ".join(parts)

    asked, ran = precision.get("asked") or {}, precision["counts"]
    otherwise = precision.get("otherwise") or []
    got = by_mode(ran)
    if otherwise:
        got += f"; otherwise: {_names([one['layer'] for one in otherwise])}"
    return AskedRow(
        "precision of layers", by_mode(Counter(asked.values())) or "-", got, bool(otherwise)
    )


def precision_finding(summary: Mapping[str, Any]) -> Finding | None:
    """Return that layers have another precision than a script asked for by name."""
    table = _result(summary["stages"], "optimize").get("precision") or {}
    otherwise = table.get("otherwise") or []
    if not otherwise:
        return None
    first = otherwise[0]
    return Finding(
        "precision.otherwise",
        "warning",
        f"another precision than was asked in {counted(len(otherwise), 'layer')}: "
        f"{_names([one['layer'] for one in otherwise])} "
        f"({first['asked']} asked, {first['ran']} ran)",
        stage="optimize",
        asked=first["asked"],
        got=first["ran"],
        fix="Check which modes the chip has for these layers; name those in quantization_param.",
    )


def _nms(asked: Mapping[str, Any], nms: Mapping[str, Any]) -> AskedRow:
    if nms.get("made"):
        where = {"nn_core": "on the chip", "cpu": "on the host's CPU"}.get(str(nms.get("engine")))
        got = f"{nms['made']}, {where}" if where else str(nms["made"])
    else:
        got = f"none: {nms['why']}"
    wanted = bool(asked.get("nms"))
    return AskedRow(
        "NMS in the HEF", "yes" if wanted else "no", got, wanted and not nms.get("made")
    )


def _pictures(summary: Mapping[str, Any]) -> list[AskedRow]:
    given = summary.get("preprocessing") or {}
    entries = given.get("by_input") or {"": given.get("shared") or {}}
    found = []
    for name, stated in entries.items():
        entry = _with_preset(stated)
        suffix = f" of {name}" if name else ""
        if entry.get("color"):
            found.append(AskedRow(f"colour{suffix}", str(entry["color"]), str(entry["color"])))
        if entry.get("std") is not None or entry.get("mean") is not None:
            values = f"mean {_numbers(entry.get('mean'))}, std {_numbers(entry.get('std'))}"
            where = "in the HEF" if entry.get("normalize", "chip") == "chip" else "before the chip"
            if entry.get("normalize") == "none":
                where = "not at all"
            found.append(AskedRow(f"normalisation{suffix}", values, where))
    return found


def _with_preset(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    preset = PRESETS.get(str(entry.get("preset")))
    return entry if preset is None else {**preset.values(), **entry}


def _numbers(values: Any) -> str:
    items = values if isinstance(values, (list, tuple)) else [values]
    return " ".join("-" if item is None else f"{float(item):g}" for item in items)


def _names(values: Sequence[str]) -> str:
    return some(values, 4)


def _result(stages: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    entry = stages.get(stage)
    result = entry.get("result") if entry else None
    return result if isinstance(result, dict) else {}


def _text(value: object, missing: str = "?") -> str:
    return missing if value is None else str(value)

"""What a pattern alone cannot tell: comparisons, and findings over a whole run.

Many of the worst failures print nothing that is wrong by itself. "Using dataset with 64
entries" is fine when 64 images were given and a loss when 1339 were. These rules compare.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from orchestrator.device.address import SSH_PORT, device_argument, host_label, ssh_target
from orchestrator.device.base import DeviceSpec
from orchestrator.diagnose.catalogue import Entry, having, load_catalogue, meaning_of
from orchestrator.diagnose.finding import Asked, Diagnosis
from orchestrator.diagnose.pictures import frames
from orchestrator.diagnose.ranking import possible
from orchestrator.diagnose.releases import compares

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.diagnose.observed import Observed
    from orchestrator.diagnose.scene import Scene

#: The SDK's own calibration set size when nobody asks for another (user_pains.md C05).
DEFAULT_CALIBSET = 64
#: Below this signal-to-noise ratio in dB an output holds little but noise.
USELESS_SNR = 5.0

_PLACEHOLDER = re.compile(r"\{([a-z_0-9]+)(?:\?([^{}|]*))?(?:\|([^{}]*))?\}")
#: What may stand in a command as it is.
_SAFE = re.compile(r"(?:-p \d+ )?(?!-)(?:[\w@%+=:,./~-]|'[\w@:./\[\]%-]+')+\Z")
#: Chips at the beginning of a text, several with commas between them.
_CHIPS = re.compile(r"hailo\d+[lhmr]?(?:,? hailo\d+[lhmr]?)*")
#: Stands for a brace out of a log; no log has it.
_BRACE = "\0"
_NUMBERS = re.compile(r"\d+")
_UNIT_RANGE = re.compile(r"\(\s*-?[01](?:\.\d+)?\s*,\s*1(?:\.0*)?\s*\)")


def _shape(text: str | None) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBERS.findall(text or ""))


def _is_channels_first(captured: Mapping[str, str]) -> bool:
    """Tell whether the data shape is the network's with the channels moved to the front."""
    data, wanted = _shape(captured.get("data")), _shape(captured.get("wanted"))
    if len(data) < 3:
        return False
    data = data[-3:]
    if len(wanted) >= 3:
        height, width, channels = wanted[-3:]
        return data == (channels, height, width) and data != (height, width, channels)
    return data[0] in {1, 3, 4} and min(data[1:]) > 4


def _is_same(captured: Mapping[str, str]) -> bool:
    """Tell whether the data has the network's shape, but for the number of images."""
    data, wanted = _shape(captured.get("data")), _shape(captured.get("wanted"))
    return bool(wanted) and data[-len(wanted) :] == wanted


def _reshape_differs_by(captured: Mapping[str, str]) -> str:
    """Tell by what the shape that a Reshape or an input gets differs from the one it takes."""
    got, written = _shape(captured.get("one")), _shape(captured.get("two"))
    if len(got) != len(written) and prod(got) == prod(written):
        return "axes"
    if "-" in captured.get("two", "") or len(got) < 3 or len(written) < 3:
        return "unknown"
    if written[0] == 1 < got[0] and prod(got) == got[0] * prod(written):
        return "batch"
    sides, channels = slice(-2, None), slice(None, -2)
    same_channels = got[0] == written[0] and prod(got[channels]) == prod(written[channels])
    return "size" if same_channels and got[sides] != written[sides] else "unknown"


def _other_chip(captured: Mapping[str, str]) -> bool:
    """Tell whether the chip of the file is another than the device's, as far as both are named."""
    device = captured.get("device", "").lower().replace("-", "")
    built = _CHIPS.match(captured.get("hefarch", "").lower().replace("-", ""))
    return not device or built is None or device not in re.split(r"[, ]+", built[0])


def holds(rule: str | None, captured: Mapping[str, str], seen: Observed, asked: Asked) -> bool:
    """Tell whether a matched entry really applies, given what else is known."""
    if rule == "calibset":
        used = int(captured["n"].replace(",", ""))
        given = seen.images_given if seen.images_given is not None else asked.images
        return used < given if given is not None else used == DEFAULT_CALIBSET
    if rule == "channels-first":
        return _is_channels_first(captured)
    if rule == "not-channels-first":
        return not _is_channels_first(captured) and not _is_same(captured)
    if rule == "other-chip":
        return _other_chip(captured)
    if rule == "few-images":
        return int(captured["n"].replace(",", "")) < DEFAULT_CALIBSET
    if rule and rule.startswith(("same ", "differ ", "unlike ")):
        how, one, other, *more = rule.split()
        # What more shall agree does so as long as both are known.
        pairs = zip(more[::2], more[1::2], strict=True)
        if any(captured.get(a) and captured.get(b, captured[a]) != captured[a] for a, b in pairs):
            return False
        return bool(captured.get(one) and captured.get(other)) and (how == "same") == (
            captured[one] == captured[other]
        )
    if rule and rule.startswith("bytes "):
        return frames.shows(rule.removeprefix("bytes "), captured)
    if rule and rule.startswith("reshape "):
        return _reshape_differs_by(captured) == rule.removeprefix("reshape ")
    if rule and rule.startswith("capitals "):
        one, other = (captured.get(name, "") for name in rule.split()[1:])
        return one != other and one.lower() == other.lower()
    if rule and rule.startswith("release "):
        return compares(rule.split()[1], captured.get("asked", ""), captured.get("have", ""))
    if rule == "nonzero":
        return captured.get("n", "1") not in {"0", "00"}
    return True


def words(seen: Observed, asked: Asked) -> dict[str, str]:
    """Return what remedies may speak of, from the run itself."""
    given = seen.images_given if seen.images_given is not None else asked.images
    values: dict[str, object] = {
        "images_given": given,
        "images_used": seen.images_used,
        "level_run": seen.level_run,
        "level_asked": asked.level if asked.level is not None else seen.level_asked,
        "contexts": seen.contexts,
        "arch": seen.arch,
        "hef": seen.hef,
    }
    values.update(seen.versions)
    return {name: str(value) for name, value in values.items() if value is not None}


def _fill_text(text: str, known: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        name, with_it, without = match.groups()
        value = known.get(name)
        # A command is copied into a shell: what a log holds must not become a command of its own.
        if value and (match.string.count("`", 0, match.start()) % 2 == 0 or _SAFE.match(value)):
            # What looks like a placeholder in a log is none.
            value = value.replace("{", _BRACE)
            return value if with_it is None else with_it.replace("%", value, 1)
        return without or ""

    # A placeholder may hold another one, and that a third.
    for _ in range(3):
        text = _PLACEHOLDER.sub(replacement, text)
    return text.replace(_BRACE, "{")


def fill(
    entry: Entry,
    known: Mapping[str, str],
    *,
    line: int | None = None,
    text: str | None = None,
    file: str | None = None,
) -> Diagnosis:
    """Return the finding for ``entry`` with its words filled in from ``known``."""
    recipe = entry.recipe
    return Diagnosis(
        id=entry.id,
        stage=entry.stage,
        severity=entry.severity,
        fault=entry.fault,
        cause=_fill_text(entry.cause, known),
        remedy=_fill_text(entry.remedy, known),
        line=line,
        text=text,
        recipe=_fill_text(recipe, known) if recipe else None,
        sources=entry.sources,
        umbrella=entry.umbrella,
        file=file,
        confirm=_fill_text(entry.confirm, known) if entry.confirm else None,
    )


#: Entries that say that the kernel that runs has no driver; and what makes sure of it.
_UNBUILT = {"R520", "R691", "R1549"}
_NO_MODULE = "`sudo modprobe hailo_pci` (hailo1x_pci for a 10H) does not find the module"


def _computed_ids(
    seen: Observed, asked: Asked, scene: Scene, hit: set[str]
) -> Iterator[tuple[str, str | None]]:
    """Yield entries that the whole run shows, with the words that show it."""
    given = seen.images_given if seen.images_given is not None else asked.images
    used = seen.images_used
    if given is not None and used is not None and used < given and "C05" not in hit:
        yield "C05", f"{used} of {given} images used for calibration"
    low, high = seen.level_run, seen.level_asked
    if low is not None and high is not None and low < high and not hit & {"O01", "C04", "A09"}:
        yield "D01", f"level {high} asked, level {low} run"
    if seen.four_bit and "O13" not in hit:
        yield "O13", ", ".join(seen.four_bit)
    if (seen.demoted and "A05" not in hit) or (scene.wide_zero_point and scene.uint8):
        shown = ", ".join(seen.demoted) or f"zero point {scene.wide_zero_point} on a UINT8 output"
        yield "A05", shown
    if scene.script_divides and any(_UNIT_RANGE.search(text) for text in seen.not_normalized):
        yield "A03", "values of 0 to 1 given, and the script divides again"
    elif scene.script_divides and scene.scaling.calibration:
        yield "A03", scene.scaling.calibration
    if scene.script_divides and scene.scaling.inference:
        yield "A1150", scene.scaling.inference
    # It is asserted where the post shows it, and told as possible where somebody complains.
    if scene.colours.inference and (scene.colours.is_wrong or hit & having("complaint")):
        yield "A1184", scene.colours.inference
    if scene.colours.calibration:
        yield "A1185", scene.colours.calibration
    if scene.optimized_plain and scene.compiled_scripted:
        yield "O15", None
    poor = {name: value for name, value in seen.snr.items() if not value >= USELESS_SNR}
    if poor:
        yield "A10", ", ".join(f"{name}: {value:g} dB" for name, value in poor.items())
    yield from _of_the_device(seen, scene, hit)
    yield from _of_its_time(scene, hit)
    if {"E260", "Y03"} <= hit:
        yield "E264", None
    if seen.hef and _in_container_folder(seen.hef, scene.cwd):
        yield "H01", seen.hef


def _of_the_device(seen: Observed, scene: Scene, hit: set[str]) -> Iterator[tuple[str, str | None]]:
    """Yield entries that follow from which card, driver, library and API the log shows."""
    other_line = scene.old_card and scene.new_driver and not scene.old_module
    if scene.refused or other_line:
        yield "R36", scene.refused or scene.new_driver
    old_library = scene.old_library or seen.versions.get("hailort", "").startswith("4.")
    if scene.card_of_line_5 and old_library and hit & (having("no-device") | {"R24", "R97"}):
        yield "R96", scene.card_of_line_5
    if scene.camera_of_root and "V741" not in hit:
        yield "V741", scene.camera_of_root
    elif scene.upstream and scene.no_camera and not scene.camera_of_root:
        yield "V740", scene.no_camera
    if scene.not_allowed and hit & {"R70", "R142"}:
        yield "R1123", scene.not_allowed
    if scene.old_api and "T430" in hit and "R16" not in hit:
        yield "R16", scene.old_api


def _of_its_time(scene: Scene, hit: set[str]) -> Iterator[tuple[str, str]]:
    """Yield entries that follow from what came before or after the failure."""
    if scene.too_early:
        yield "K411", scene.too_early
    if scene.crashed_at_end and "G11" in hit:
        yield "R410", scene.crashed_at_end
    if scene.crashed_simplifying and hit & {"G11", "E65"}:
        yield "E630", scene.crashed_simplifying
    if scene.gone_exporting:
        yield "E642", scene.gone_exporting
    if scene.without_gpu and scene.asks_gpu and not hit & having("gpu"):
        yield "O630", scene.without_gpu
    if scene.lost_power:
        yield "R95", scene.lost_power
    missing = hit & {"R40", "R33", "R53"}
    if scene.driver_of_another and missing:
        yield "R1549" if scene.waits_for_restart else "R520", scene.driver_of_another
    if scene.driver_of_none and missing:
        yield "R691", scene.driver_of_none
    if scene.kernels.differ:
        yield "L2046", f"{scene.kernels.runs} runs, modules of {', '.join(scene.kernels.there)}"


def _in_container_folder(hef: str, cwd: str | None) -> bool:
    """Tell whether the HEF went into the image's own workspace, which dies with it."""
    if hef.startswith("/"):
        return re.match(r"/local/workspace/[^/]+\.hef$", hef) is not None
    return (cwd or "").rstrip("/") == "/local/workspace" and "/" not in hef.removeprefix("./")


def computed(seen: Observed, asked: Asked, scene: Scene, hit: set[str]) -> list[Diagnosis]:
    """Return the findings that follow from the run as a whole."""
    catalogue = load_catalogue()
    known = words(seen, asked) | {
        "layers": ", ".join(seen.four_bit or seen.demoted),
        "layer": next(iter(seen.four_bit or seen.demoted), ""),
        "runs": scene.kernels.runs,
        "there": ", ".join(scene.kernels.there),
    }
    found = [
        fill(catalogue[name], known, text=text)
        for name, text in _computed_ids(seen, asked, scene, hit)
    ]
    unsure = scene.may_have_its_own and "R40" not in hit
    found = [possible(one, _NO_MODULE) if unsure and one.id in _UNBUILT else one for one in found]
    if not scene.kernels.missed:
        found = [possible(one, one.confirm) if one.id == "L2046" else one for one in found]
    if scene.colours.is_wrong:
        return found
    return [possible(one, one.confirm) if one.id == "A1184" else one for one in found]


def unexplained(
    line: int | None, text: str | None, file: str | None, *, step: str = "", stage: str = ""
) -> Diagnosis:
    """Return the finding for a failure that nothing in the list explains."""
    known = {"text": text or "", "step": step}
    found = fill(load_catalogue()["U01"], known, line=line, text=text, file=file)
    return replace(found, stage=stage or found.stage)


_LABEL = re.compile(r"\[(?P<host>[^\]]+)\]:(?P<port>\d+)\Z")


def address_words(captured: Mapping[str, str]) -> dict[str, str]:
    """Return the machine that a line of SSH speaks of, as each program takes it.

    ``hef_device`` for hef, ``ssh_target`` for ssh and ssh-copy-id, ``known_host_word`` for
    ``ssh-keygen -R``; each is quoted for a shell, and keeps the port.
    """
    labelled = _LABEL.match(captured.get("known_host", ""))
    host = labelled["host"] if labelled else captured.get("host") or captured.get("known_host")
    if not host or not re.fullmatch(r"[\w.:%-]+", host):
        return {}
    port = int(labelled["port"] if labelled else captured.get("port", SSH_PORT))
    user = captured.get("user") or None
    spec = DeviceSpec(name=host, host=host, user=user, port=None if port == SSH_PORT else port)
    return {
        "hef_device": device_argument(spec),
        "ssh_target": ssh_target(spec),
        "known_host_word": shlex.quote(host_label(host, port)),
    }


def status_words(captured: Mapping[str, str]) -> dict[str, str]:
    """Return name and meaning of the status that was captured by name or number."""
    status = captured.get("status") or captured.get("code")
    found = meaning_of(status) if status else None
    return {"status": found[0], "meaning": found[1]} if found else {}

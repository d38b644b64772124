"""The first recipe of a network, from what was found of it, its pictures and its labels."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.options import VENDOR_CALIBRATION_IMAGES

from orchestrator.errors import escape_control
from orchestrator.files import relative
from orchestrator.pipeline.start.arrays import AS_THEY_ARE, beside, folders_of, settle, turned
from orchestrator.project.starter import (
    Network,
    Pictures,
    is_array,
    is_picture,
    starter_recipe,
)
from orchestrator.project.survey.arrays import array_shape, arrays_for, rows_of
from orchestrator.project.survey.pictures import (
    Labels,
    Shown,
    holds_pictures,
    masks_beside,
    pictures_of,
)
from orchestrator.project.survey.questions import Question

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.pipeline.start.code import Code
    from orchestrator.project.survey.folder import Folder
    from orchestrator.project.survey.given import Given
    from orchestrator.project.survey.questions import Ask

#: Said where nothing tells how pictures are prepared.
COMMONEST = "preprocessing is the commonest one, not known: check it against your training"


@dataclass
class Draft:
    """A recipe on its way: what is asked for, where it will stand, and what is gathered for it.

    ``files``, ``comments``, ``said``, ``notes`` and ``first`` are those of ``Started``.
    """

    given: Given
    folder: Folder
    target: Path
    ask: Ask
    files: dict[Path, str] = field(default_factory=dict)
    comments: dict[str, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    first: str = ""

    def compose(
        self,
        code: Code,
        network: Network,
        shown: Shown | None,
        labels: Labels,
        section: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return the recipe; ``section`` is its preprocessing, where the network takes pictures."""
        twice = [name for name, shape in network.inputs.items() if is_picture(shape)]
        if shown is not None and shown.folders and folders_of(shown.calibration, twice):
            # They are no classes: each holds the pictures of one input.
            shown = replace(shown, folders=(), split=None, held_out=None)
            labels = Labels()
        if shown is not None and shown.masks is not None:
            shown = self._with_masks(shown, network)
        pictures = self.as_written(shown)
        detects = shown is not None and shown.task == "detection"
        pictures = replace(pictures, classes=() if detects else labels.names)
        pictures = self._with_arrays(pictures, network)
        recipe = starter_recipe(code.source, network, pictures=pictures, arch=self.chip())
        if takes_pictures(network):
            shape = next(iter(network.inputs.values()))
            recipe["preprocessing"] = {**section, "size": list(shape[2:])}
        if shown is not None and len(twice) > 1:
            self._pair(recipe, shown, twice)
        if code.export is not None:
            recipe.setdefault("export", {}).update(code.export)
        if code.packages:
            recipe.setdefault("export", {})["packages"] = list(code.packages)
        if shown is not None and shown.numbers and network.head.get("task") == "other":
            recipe["postprocess"]["task"] = "other"
        if detects and labels.names and "nms" in recipe["postprocess"]:
            recipe["postprocess"]["labels"] = list(labels.names)
            recipe["postprocess"]["nms"]["classes"] = len(labels.names)
        if "nms" in recipe["postprocess"] and (why := no_nms(network.head)):
            recipe["postprocess"]["nms"]["enabled"] = False
            self.said.append(f"no NMS in the HEF: {why}")
        if labels.names and "labels" in recipe["postprocess"]:
            self.comments["postprocess"] = [f"Labels: {labels.where}."]
            self.said.append(f"labels: {', '.join(labels.names[:8])} ({labels.where})")
        self._look_at_samples(recipe, network, shown)
        thresholds = _thresholds(recipe["postprocess"].get("task"))
        if thresholds and "validation" in recipe:
            recipe["validation"]["thresholds"] = thresholds
        return recipe

    def _look_at_samples(
        self, recipe: dict[str, Any], network: Network, shown: Shown | None
    ) -> None:
        """Say what is missing, and let arrays tell who normalises them."""
        if shown is not None and shown.split is None:
            self._miss_named(shown.calibration)
            if not (shown.options or shown.array) and takes_pictures(network):
                self._count(shown.calibration)
        if shown is None and takes_pictures(network):
            self.miss_pictures()
            if recipe["calibration"]["source"] == "calib/images":
                recipe["calibration"]["source"] = f"calib/{self.given.name}"
        notes, first = settle(recipe, self.target)
        self.notes += notes
        if recipe["preprocessing"] == AS_THEY_ARE and COMMONEST in self.notes:
            self.notes.remove(COMMONEST)
        self.first = self.first or (f"{first}, then: hef up {self.target.name}" if first else "")

    def _with_masks(self, shown: Shown, network: Network) -> Shown:
        """Keep masks for a network that gives one; for another, they are only pictures beside."""
        assert shown.masks is not None
        if network.head.get("task") != "segmentation":
            return replace(shown, masks=None, split=None)
        self.said.append(f"masks: {shown.masks.name}, which the verdict is measured by")
        if shown.held_out is not None and (beside := masks_beside(shown.held_out)) is not None:
            options = (*shown.held_out_options, ("masks", str(beside)))
            return replace(shown, held_out_options=options)
        return shown

    def _with_arrays(self, pictures: Pictures, network: Network) -> Pictures:
        """Give each input that is no picture the array that fits it, or say which one it needs.

        Beside such an input a picture may come as an array, too, when no folder of pictures is
        named.
        """
        data = {name: shape for name, shape in network.inputs.items() if not is_picture(shape)}
        if not data or network.arrays:
            return pictures
        plain = isinstance(pictures.calibration, str) and is_array(pictures.calibration)
        wanted = dict(network.inputs) if plain or pictures.calibration is None else data
        found, held_out = arrays_for(wanted, self.folder.arrays)
        if plain and len(wanted) == 1 and not found and self._is_turned(pictures, wanted):
            # It is told what to do with the array that was named.
            return pictures
        for name, shape in wanted.items():
            rows = ", ".join(map(str, ("N", *rows_of(shape))))
            if name in found:
                self.said.append(f"input {name}: arrays of {found[name].name} ({rows})")
            elif name in data:
                self.notes.append(
                    f"input {name} is no picture: it needs an array ({rows}) of float32, as the "
                    f"network takes it, in calib/{name}.npy"
                )
            elif len(wanted) > 1 and plain:
                self.notes.append(
                    f"input {name} takes pictures: name their folder, or an array ({rows}), in "
                    f"calibration.source; calib/{name}.npy is written there and is not made yet"
                )
        if len(found) < len(wanted):
            self.first = f"put arrays into calib/, then: hef up {self.target.name}"
        return replace(
            pictures,
            arrays={name: relative(path, self.target) for name, path in found.items()},
            held_out_arrays={name: relative(path, self.target) for name, path in held_out.items()},
        )

    def _pair(self, recipe: dict[str, Any], shown: Shown, inputs: Sequence[str]) -> None:
        """Give inputs that take pictures the folders of their names, or say what is missing."""
        source = recipe["calibration"]["source"]
        folders = folders_of(shown.calibration, inputs)
        if folders and isinstance(source, dict):
            source.update({name: relative(path, self.target) for name, path in folders.items()})
            self.said += [
                f"input {name}: pictures of {path.name}" for name, path in folders.items()
            ]
            return
        self.notes.append(
            f"inputs {' and '.join(inputs)} are calibrated on the same pictures: where yours "
            "come together (left and right, before and after), give each its folder, with "
            "equal names"
        )

    def _is_turned(self, pictures: Pictures, wanted: Mapping[str, Sequence[int]]) -> bool:
        """Tell whether the array that was named has its channels first."""
        shape = array_shape(beside(self.target, str(pictures.calibration)))
        return shape is not None and turned(shape, next(iter(wanted.values())))

    def chip(self) -> str:
        """Return the chip that was named, or is asked for."""
        if self.given.arch is not None:
            return self.given.arch
        question = Question(
            "arch",
            "Which chip does your Pi have?",
            (
                ("hailo8l", "AI Kit, AI HAT+ 13 TOPS"),
                ("hailo8", "AI HAT+ 26 TOPS"),
                ("hailo10h", "AI HAT+ 2"),
            ),
            "hailo8l",
            "hef up takes the chip of the device that it reaches; this is for building without one",
        )
        return self.ask(question)

    def as_written(self, shown: Shown | None) -> Pictures:
        """Return the pictures by the paths of the recipe; lists that part them become files."""
        if shown is None:
            return Pictures()
        if shown.split is not None:
            held_out, rest = shown.split
            base = relative(shown.calibration, self.target)
            for name, entries in (("calibration.txt", rest), ("validation.txt", held_out)):
                text = io.StringIO()
                csv.writer(text, lineterminator="\n").writerows(
                    (f"{base}/{entry}", *([label] if label else [])) for entry, label in entries
                )
                self.files[self.target / name] = text.getvalue()
            by = f" of each class of {shown.told_by}" if shown.told_by else " of each class"
            how = f"every fifth{by if shown.folders else ''}"
            if shown.parted:
                how = f"those of {shown.parted}"
            self.said.append(
                f"held out for validation: {len(held_out)} of {len(held_out) + len(rest)} "
                f"{'pictures' if shown.array is None else 'arrays'}, "
                f"{how} (validation.txt)"
            )
            validation: Any = "validation.txt"
            if shown.masks is not None:
                validation = {"path": validation, "masks": relative(shown.masks, self.target)}
            return Pictures("calibration.txt", validation, classes=shown.folders)
        calibration: Any = relative(shown.calibration, self.target)
        held_out_path: Any = (
            None if shown.held_out is None else relative(shown.held_out, self.target)
        )
        if shown.options:
            calibration = {"path": calibration, **dict(shown.options)}
        if held_out_path is not None and shown.held_out_options:
            given = {
                key: relative(Path(value), self.target) if key == "masks" else value
                for key, value in shown.held_out_options
            }
            held_out_path = {"path": held_out_path, **given}
        return Pictures(calibration, held_out_path, classes=shown.folders or shown.names)

    def _miss_named(self, source: Path) -> None:
        """Note that what was named for the calibration is not there, or a folder with nothing."""
        if source.is_dir() and not any(source.iterdir()):
            what = "is empty"
        elif not source.exists() and not any(letter in str(source) for letter in "*?["):
            what = "is not there"
        else:
            return
        name = escape_control(relative(source, self.folder.root))
        self.notes.append(
            f"the calibration's source {name} {what}: put pictures like those the camera will see "
            "there, 64 at least"
        )
        self.first = f"put pictures into {name}, then: hef up {self.given.name}"

    def _count(self, source: Path) -> None:
        """Note that a folder holds fewer pictures than a calibration needs."""
        count = len(pictures_of(source)) if source.is_dir() else 0
        if 0 < count < VENDOR_CALIBRATION_IMAGES:
            name = escape_control(relative(source, self.folder.root))
            self.notes.append(
                f"only {counted(count, 'picture')} in {name}: put more like those the camera will "
                f"see there, {VENDOR_CALIBRATION_IMAGES} at least"
            )

    def miss_pictures(self) -> None:
        """Note that there are none, and what comes before the build for that."""
        packed = next((path for path in self.folder.packed if holds_pictures(path)), None)
        if packed is not None:
            name = escape_control(relative(packed, self.folder.root))
            self.notes.append(f"no pictures were found; {name} is packed, and was not looked into")
            self.first = f"unpack {name} here, then: hef init {self.given.name} --force"
            return
        place = f"calib/{self.given.name}/"
        self.notes.append(
            "no pictures were found: put some like those the camera will see into "
            f"{place}, 64 at least"
        )
        self.first = f"put pictures into {place}, then: hef up {self.given.name}"


def _thresholds(task: object) -> dict[str, object]:
    from orchestrator.report.model import DEFAULTS

    return dict(DEFAULTS.get(str(task), {})) if task == "classification" else {}


def no_nms(head: Mapping[str, Any]) -> str:
    """Return why the SDK has no NMS for a head, whatever the recipe says; empty where it may."""
    from hefsmith_worker.script.nms import meta_arch_of

    meta_arch, why = meta_arch_of(head) if head.get("end_nodes") else (None, "")
    # A configuration of one's own makes one.
    return "" if meta_arch is not None or "nms.config" in why else why


def takes_pictures(network: Network) -> bool:
    """Tell whether a network has one input, and that a picture."""
    shapes = list(network.inputs.values())
    return not network.arrays and len(shapes) == 1 and is_picture(shapes[0])

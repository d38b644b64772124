"""Data sets and names of classes from strangers: wild values, and texts that others will read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hefsmith_worker.calibration.datasets import list_coco, list_yolo
from hefsmith_worker.calibration.items import Listing
from hefsmith_worker.calibration.model import CalibrationError, Source

from orchestrator.device.bundle import plan_bundle
from orchestrator.device.bundle_model import BundleInput, BundleModel, BundleOutput
from orchestrator.device.bundle_targets import TARGETS
from orchestrator.errors import ConfigError, HefsmithError
from orchestrator.pipeline.inputs import collect
from orchestrator.project.loading import load_recipe

from .conftest import Tally


def sane(listing: Listing) -> bool:
    """Whether every box is of plain numbers, and its class one that counts something."""
    return all(
        all(math.isfinite(value) and abs(value) <= 1e7 for value in box[:4])
        and type(box[4]) is int
        and 0 <= box[4] < 1 << 31
        for item in listing.items
        for box in item.boxes or ()
    )


def coco(**change: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "0.png"}],
        "categories": [{"id": 3, "name": "lamp"}],
        "annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}],
        **change,
    }


def boxed(*box: Any, category: Any = 3) -> dict[str, Any]:
    return coco(annotations=[{"image_id": 1, "category_id": category, "bbox": list(box)}])


COCO: dict[str, Any] = {
    "infinite": boxed(math.inf, 0, 1, 1),
    "no number": boxed(math.nan, 0, 1, 1),
    "huge": boxed(1e300, 0, 1e300, 1),
    "a product that is infinite": boxed(1.7e308, 0, 1.7e308, 1),
    "texts": boxed("inf", "nan", "1", "2"),
    "a long number": boxed(0, 0, "9" * 5000, 1),
    "three numbers": boxed(1, 2, 3),
    "a category that is none": boxed(1, 2, 3, 4, category=99),
    "a category that is a list": boxed(1, 2, 3, 4, category=[1]),
    "infinite ids": coco(categories=[{"id": math.inf, "name": "a"}, {"id": 3, "name": "b"}]),
    "ids that are texts": coco(categories=[{"id": "x", "name": "a"}]),
    "ids that are lists": coco(images=[{"id": [1], "file_name": "0.png"}]),
    "categories that are a text": coco(categories="abc"),
    "annotations that are a number": coco(annotations=7),
    "annotations of numbers": coco(annotations=[7]),
    "images of texts": coco(images=["0.png"]),
    "a name with a null": coco(images=[{"id": 1, "file_name": "a\0b.png"}]),
    "a name of a megabyte": coco(images=[{"id": 1, "file_name": "a" * 1_000_000}]),
    "a name that is an object": coco(images=[{"id": 1, "file_name": {"a": 1}}]),
    "a list": [],
    "nothing": None,
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("name", COCO)
def test_a_coco_file_with_wild_values_is_told(tmp_path: Path, tally: Tally, name: str) -> None:
    value = COCO[name]
    path = tmp_path / "instances.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    (tmp_path / "0.png").write_bytes(b"")
    try:
        tally.held(name, sane(list_coco(path, Source(str(path)))))
    except CalibrationError as error:
        tally.held(f"{name}: {error}", len(str(error)) < 2000)


LINES = (
    "inf 0.5 0.5 0.1 0.1", "nan 0.5 0.5 0.1 0.1", "1e300 0.5 0.5 0.1 0.1", "-1 0.5 0.5 0.1 0.1",
    "0 inf 0.5 0.1 0.1", "0 nan nan nan nan", "0 1e300 1e300 1e300 1e300", "0.5 0 0 0 0",
    "9" * 5000 + " 0 0 0 0", "0 " + "9" * 5000 + " 0 0 0", "0 0 0", "x y z a b", "0x10 0 0 1 1",
    "0 " + "0.5 " * 100_000, "٣ 0.5 0.5 0.1 0.1", "1_0 0.5 0.5 0.1 0.1",
)  # fmt: skip


def test_yolo_labels_with_wild_values_are_told(tmp_path: Path, tally: Tally) -> None:
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    (tmp_path / "images" / "0.png").write_bytes(b"")
    for line in LINES:
        (tmp_path / "labels" / "0.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
        listing = list_yolo(tmp_path, Source(str(tmp_path)))
        tally.held(line[:40], sane(listing) and len(listing.items) == 1)


DATA = (
    "names: {a: b, c: d}", "names: {inf: b}", "names: [[a], b]", "kpt_shape: [inf, 3]",
    "kpt_shape: [99999999999999, 99999999999]", "kpt_shape: [-1, -1]", "names: {1_0: a, 2: b}",
    "names: " + "[" * 5000, "nc: " + "9" * 5000, "path: /proc/self",
    "names: {9" + "9" * 5000 + ": a}",
)  # fmt: skip


def test_a_yolo_data_file_with_wild_values_is_told(tmp_path: Path, tally: Tally) -> None:
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    (tmp_path / "images" / "0.png").write_bytes(b"")
    (tmp_path / "labels" / "0.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    for text in DATA:
        path = tmp_path / "data.yaml"
        path.write_text(f"train: images\n{text}\n")
        try:
            tally.held(text[:60], sane(list_yolo(path, Source(str(path)))))
        except CalibrationError as error:
            tally.held(f"{text[:60]}: {error}", len(str(error)) < 20_000)


# --- names of classes ----------------------------------------------------------------------------

#: What a line, a terminal, a shell, a page, a template, a unit or YAML would take for its own.
WORDS = (
    "<script>alert(1)</script>", "{{ states.person }}", "{% for a in b %}", "$(id)", "`id`",
    "%n", "a: b", "- a", "'", '"', "\\", "#", "no", "null", "1", "+/#", "!!python/name:os.system",
    "&a", "*a", "@a", "| a", "a\tb", "https://h/x", "${jndi:ldap://h}", "😀", "a b",
)  # fmt: skip
#: What ends a line for one reader of a list of names and not for another: numbers would shift.
BROKEN = ("a\nb", "a\r\nb", "a\x0bb", "a\x0cb", "a\x85b", "a\u2028b", "a\x1cb", "\n", "", " ",
          "\x1b[2J", "\u202ea", "a" * 5000)  # fmt: skip


def test_names_of_classes_stay_names_in_every_file_of_a_bundle(
    tmp_path: Path, tally: Tally
) -> None:
    hef = tmp_path / "model.hef"
    hef.write_bytes(b"x")
    size = {"size": [16, 16], "color": "rgb", "resize": "letterbox", "normalize": "chip"}
    model = BundleModel(
        model="net", arch="hailo8l", emulated=True, hef=hef, task="detection", labels=WORDS,
        inputs=[BundleInput(name="in", preprocess=size)],
        outputs=[BundleOutput(stream=None, kind="nms")],
    )  # fmt: skip
    for target in ("python", "frigate", "hailo-apps", "ultralytics", "home-assistant"):
        files = {one.name: one.data for one in plan_bundle(model, TARGETS[target], "bundle")}
        text = {name: data.decode() for name, data in files.items() if data and name[-3:] != "zip"}
        if "labels.txt" in text:
            tally.held("labels.txt", text["labels.txt"].split("\n")[:-1] == list(WORDS))
        if target == "frigate":
            tracked = yaml.safe_load(text["frigate.yml"])["objects"]["track"]
            tally.held("frigate.yml", tracked == list(WORDS))
            lines = text["labelmap.txt"].split("\n")[:-1]
            tally.held("labelmap", lines == [f"{at} {one}" for at, one in enumerate(WORDS)])
        if target == "hailo-apps":
            tally.held("labels.json", json.loads(text["labels.json"])["labels"][1:] == list(WORDS))
        if target == "ultralytics":
            names = yaml.safe_load(text["metadata.yaml"])["names"]
            tally.held("metadata.yaml", names == dict(enumerate(WORDS)))
        tally.held("README.md", not any(one in text["README.md"] for one in WORDS[:5]))


def recipe(folder: Path, labels: str) -> Path:
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    (folder / "net.onnx").write_bytes(b"x")
    (folder / "model.yaml").write_text(
        "schema: 1\nname: net\nsource: {onnx: net.onnx}\ninputs: {x: [1, 3, 8, 8]}\n"
        f"calibration: {{source: pictures, count: 4}}\npostprocess: {{labels: {labels}}}\n"
    )
    return folder


def test_a_name_that_is_several_lines_or_none_is_refused(tmp_path: Path, tally: Tally) -> None:
    for number, word in enumerate(BROKEN):
        folder = recipe(tmp_path / str(number), json.dumps([word, "lamp"]))
        try:
            labels = collect(load_recipe(folder), folder, "hailo8l").labels
        except ConfigError as error:
            tally.held(f"{word!r}: {error}", len(str(error)) < 1000)
        else:
            tally.held(f"{word!r} became {labels}", False)
    good = recipe(tmp_path / "good", json.dumps(list(WORDS)))
    assert collect(load_recipe(good), good, "hailo8l").labels == WORDS


def test_a_file_of_names_counts_lines_as_others_do(tmp_path: Path, tally: Tally) -> None:
    """``str.splitlines`` ends lines at marks that no other reader of labels.txt takes for ends."""
    folder = recipe(tmp_path, "labels.txt")
    for text in ("a\u2028b\nc\n", "a\x85b\nc\n", "a\x0cb\nc\n", "a\x1cb\nc\n", "\x1b[2J\nc\n"):
        (folder / "labels.txt").write_text(text, encoding="utf-8")
        try:
            labels = collect(load_recipe(folder), folder, "hailo8l").labels
        except HefsmithError:
            tally.held(repr(text), True)
        else:
            tally.held(f"{text!r} became {labels}", False)
    (folder / "labels.txt").write_bytes("\ufefflamp\r\n\r\nfire hydrant \r\n".encode())
    assert collect(load_recipe(folder), folder, "hailo8l").labels == ("lamp", "fire hydrant")

"""COCO and YOLO data sets: the pictures, and the boxes for evaluation."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from hefsmith_worker.calibration.flat_yaml import read_flat_yaml
from hefsmith_worker.calibration.folders import Mounts, list_file, list_folder, resolve
from hefsmith_worker.calibration.items import Boxes, Item, Listing, folders_of
from hefsmith_worker.calibration.model import CalibrationError, Source
from hefsmith_worker.contract import names
from hefsmith_worker.contract.findings import WARNING, Finding
from hefsmith_worker.regular import parse_json, read_regular

#: Bytes of an annotation file; that of COCO's 118,287 pictures has 470 MB.
COCO_LIMIT = 1 << 30
YAML_LIMIT = 1 << 20
#: Bytes of one picture's boxes.
BOXES_LIMIT = 16 << 20

#: A coordinate or a class number above this is none.
LARGEST = 1e6

_COCO_FIX = "Name the folder of the pictures: source: {path: instances.json, images: folder}"


def list_coco(path: Path, source: Source, mounts: Mounts = ()) -> Listing:
    """Read an annotation file in COCO's form; category numbers become 0, 1, ... in id order."""
    try:
        document = parse_json(read_regular(path, COCO_LIMIT).decode("utf-8"))
        images = document["images"]
        pictures = {entry["id"]: _picture_name(entry["file_name"]) for entry in images}
        categories = sorted(document.get("categories", ()), key=lambda entry: int(entry["id"]))
        numbers = {entry["id"]: index for index, entry in enumerate(categories)}
        boxes = _coco_boxes(document.get("annotations", ()), numbers)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        why = f"{type(error).__name__}: {str(error)[:200]}"
        msg = f"{path}: not an annotation file in COCO's form ({why})"
        raise CalibrationError(msg, "calib.coco", _COCO_FIX, str(path)) from None
    if not pictures:
        msg = f"{path}: it lists no images"
        raise CalibrationError(msg, "calib.empty", _COCO_FIX, str(path))
    folder = _coco_folder(path, source, next(iter(pictures.values())), mounts)
    labelled = bool(document.get("annotations"))
    items = []
    for key, name in sorted(pictures.items(), key=lambda pair: pair[1]):
        own = tuple(boxes.get(key, ())) if labelled else None
        items.append(Item(name, str(folder / name), group=folders_of(name), boxes=own))
    classes = tuple(str(entry.get("name", entry["id"])) for entry in categories)
    return Listing(items, classes=classes)


def _picture_name(value: Any) -> str:
    """Return the name of a picture; a path of any kind, which others judge, but a possible one."""
    name = str(value)
    if len(name) > names.LENGTH or "\0" in name:
        msg = f"no picture is called {names.shown(name)}"
        raise ValueError(msg)
    return name


def _plain_numbers(values: Sequence[Any]) -> List[float]:
    """Return numbers that a picture may have; ``ValueError`` for infinite ones and none."""
    found = [float(value) for value in values]
    if not all(abs(value) <= LARGEST for value in found):
        msg = "a number that is in no picture"
        raise ValueError(msg)
    return found


def _class_number(value: float) -> int:
    if value != int(value) or not 0 <= value <= LARGEST:
        msg = f"a class number of {value:g}"
        raise ValueError(msg)
    return int(value)


def _coco_boxes(annotations: Any, numbers: Dict[Any, int]) -> Dict[Any, List[Any]]:
    found: Dict[Any, List[Any]] = {}
    for entry in annotations:
        if "bbox" not in entry or entry.get("iscrowd"):
            continue
        x, y, width, height = _plain_numbers(entry["bbox"])
        row = (y, x, y + height, x + width, numbers[entry["category_id"]])
        found.setdefault(entry["image_id"], []).append(row)
    return found


def _coco_folder(path: Path, source: Source, first: str, mounts: Mounts) -> Path:
    if source.images is not None:
        folder = resolve(source.images, path.parent, mounts)
        if not folder.is_dir():
            msg = f"{folder}: this folder of pictures does not exist"
            raise CalibrationError(msg, "calib.coco", _COCO_FIX, str(folder))
        return folder
    split = path.stem.split("_")[-1]
    beside = (".", "images", split, f"../{split}", f"../images/{split}", "../images", "..")
    for name in beside:
        place = Path(os.path.normpath(resolve(name, path.parent, mounts)))
        try:
            if (place / first).is_file():
                return place
        except OSError:  # a name that no file system takes
            continue
    msg = f"{path}: cannot find its pictures (looked for {first} beside it)"
    raise CalibrationError(msg, "calib.coco", _COCO_FIX, str(path))


def list_yolo(path: Path, source: Source, mounts: Mounts = ()) -> Listing:
    """Read a YOLO data set: its ``data.yaml``, or the folder with ``images/`` and ``labels/``."""
    classes: Tuple[str, ...] = ()
    pose = 0
    if path.is_dir():
        split = source.split or "train"
        places = [path / "images" / split, path / split / "images", path / "images"]
        found = [place for place in places if place.is_dir()]
        if labels_beside(path) is not None:
            found = [path]
        if not found:
            msg = f"{path}: has no folder images/, as a YOLO data set does"
            raise CalibrationError(msg, "calib.yolo", None, str(path))
        listing = list_folder(found[0])
    else:
        listing, classes, pose = _from_data_yaml(path, source, mounts)
    notes: List[str] = []
    items = [_with_boxes(item, notes, pose) for item in listing.items]
    result = Listing(items, classes=classes, notes=listing.notes)
    if notes:
        result.notes.append(
            Finding(
                "calib.yolo.labels",
                WARNING,
                f"{len(notes)} label files cannot be read; {notes[0]}",
                "Each line is: class x_centre y_centre width height, all but the class 0..1.",
            )
        )
    return result


def has_split(path: Path, split: str) -> bool:
    """Tell whether a data file names a part; one that cannot be read names none."""
    try:
        return bool(read_flat_yaml(read_regular(path, YAML_LIMIT).decode("utf-8-sig")).get(split))
    except (OSError, ValueError):
        return False


def has_pictures(path: Path) -> bool:
    """Tell whether something lies where a data file has its pictures; many have none beside them.

    Each programs' collection of such files names data sets that nobody has fetched.
    """
    try:
        document = read_flat_yaml(read_regular(path, YAML_LIMIT).decode("utf-8-sig"))
    except (OSError, ValueError):
        return False
    root = document.get("path")
    base = root if isinstance(root, str) else ""
    named = [document.get(split) or [] for split in ("train", "val")]
    entries = [one for part in named for one in (part if isinstance(part, list) else [part])]
    return any(_place_of(str(one), base, path.parent, ()).exists() for one in entries)


def _from_data_yaml(
    path: Path, source: Source, mounts: Mounts
) -> Tuple[Listing, Tuple[str, ...], int]:
    """Return the pictures, the classes, and how many numbers of a line are key points."""
    try:
        document = read_flat_yaml(read_regular(path, YAML_LIMIT).decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        msg = f"{path}: not a YOLO data file ({error})"
        raise CalibrationError(msg, "calib.yolo", None, str(path)) from None
    split = source.split or "train"
    value = document.get(split)
    if not value:
        msg = f"{path}: has no entry {split}:"
        raise CalibrationError(msg, "calib.yolo", "Name another split in the source.", str(path))
    root = document.get("path")
    items: List[Item] = []
    notes: List[Finding] = []
    for entry in value if isinstance(value, list) else [value]:
        place = _place_of(str(entry), root if isinstance(root, str) else "", path.parent, mounts)
        if place.is_dir():
            part = list_folder(place)
        elif place.is_file():
            part = list_file(place, mounts)
        else:
            msg = f"{path}: {split}: {entry} does not exist"
            raise CalibrationError(msg, "calib.yolo", "Correct path: in this file.", str(path))
        items.extend(part.items)
        notes.extend(part.notes)
    classes = _class_names(path, document.get("names"))
    return Listing(items, notes=notes), classes, _numbers_of_points(document.get("kpt_shape"))


def _class_names(path: Path, value: Any) -> Tuple[str, ...]:
    if isinstance(value, dict):
        try:
            value = [value[key] for key in sorted(value, key=int)]
        except ValueError:
            msg = f"{path}: names: its keys are not class numbers"
            raise CalibrationError(msg, "calib.yolo", None, str(path)) from None
    return tuple(str(name) for name in value) if isinstance(value, list) else ()


def _numbers_of_points(shape: Any) -> int:
    """Return how many numbers the key points of one object take, of ``kpt_shape: [17, 3]``."""
    try:
        points, numbers = (int(one) for one in shape)
    except (TypeError, ValueError):
        return 0
    return max(0, points * numbers)


def _place_of(entry: str, root: str, folder: Path, mounts: Mounts) -> Path:
    """Return where an entry of a data file in ``folder`` is, the first place if nowhere."""
    # Data sets of Roboflow say ../train for a train beside the file; Ultralytics keeps data sets
    # in a folder of its own, where beside the file works too.
    shorter = entry.replace("../", "", 1)
    names = [posixpath.join(root, entry), posixpath.join(root, shorter), entry, shorter]
    places = [resolve(name, folder, mounts) for name in names]
    return next((place for place in places if place.exists()), places[0])


def _with_boxes(item: Item, notes: List[str], pose: int = 0) -> Item:
    """Attach the boxes of the label file; pictures without one have none (background)."""
    label = _label_file(Path(item.path))
    rows: List[Tuple[float, float, float, float, int]] = []
    if label is not None:
        try:
            lines = read_regular(label, BOXES_LIMIT).decode("utf-8").splitlines()
            rows.extend(_yolo_row(line, pose) for line in lines if line.strip())
        except (OSError, ValueError) as error:
            notes.append(f"{label}: {str(error)[:200]}")
            return Item(item.name, item.path, group=item.group)
    boxes: Boxes = tuple(rows)
    return Item(item.name, item.path, group=item.group, boxes=boxes, relative=True)


def _yolo_row(line: str, pose: int) -> Tuple[float, float, float, float, int]:
    """Return a line's box: y_min, x_min, y_max, x_max, class.

    ``pose`` of its numbers are known to be key points, behind the box; else the line tells.
    """
    values = _plain_numbers(line.split())
    number = _class_number(values[0])
    if len(values) == 5 or (pose and len(values) == 5 + pose) or _has_points(values):
        x, y, width, height = values[1:5]
        return (y - height / 2, x - width / 2, y + height / 2, x + width / 2, number)
    if len(values) >= 7 and len(values) % 2 == 1:
        # A polygon (segmentation, oriented boxes): its bounding box.
        xs, ys = values[1::2], values[2::2]
        return (min(ys), min(xs), max(ys), max(xs), number)
    msg = f"{len(values)} numbers in a line"
    raise ValueError(msg)


def _has_points(values: Sequence[float]) -> bool:
    """Tell key points x, y, visible (0, 1, 2) behind a box from the corners of a polygon.

    Corners lie within 0..1, so that a 2 is none; and they come in pairs.
    """
    seen = values[7::3]
    if len(values) < 8 or (len(values) - 5) % 3 or not set(seen) <= {0.0, 1.0, 2.0}:
        return False
    return 2.0 in seen or len(values) % 2 == 0


def _label_file(picture: Path) -> Optional[Path]:
    folder = labels_beside(picture.parent)
    beside = (folder / picture.name if folder is not None else picture).with_suffix(".txt")
    return beside if beside.is_file() else None


def labels_beside(folder: Path) -> Optional[Path]:
    """Return the ``labels`` folder that belongs to a folder at or below an ``images`` folder."""
    parts = list(folder.parts)
    for index in range(len(parts) - 1, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            found = Path(*parts)
            return found if found.is_dir() else None
    return None

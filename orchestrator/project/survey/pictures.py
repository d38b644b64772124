"""The user's pictures as a recipe needs them: classes, a part that is held out, some to try."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.project.picture_folder import (
    ARRAYS,
    HELD_OUT,
    MASKS,
    PICTURES,
    TRAINED,
    look,
    plain,
)
from orchestrator.project.survey.arrays import array_shape
from orchestrator.project.survey.code import Unknown
from orchestrator.project.survey.tables import Table, read_table
from orchestrator.reading import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.project.picture_folder import PictureFolder
    from orchestrator.project.survey.code import Script
    from orchestrator.project.survey.folder import PictureSet

#: Pictures on which ways of preparing them are tried.
TRIED = 96
#: One picture of so many is held out where a data set has no such part.
EVERY = 5
#: Fewer pictures of a class than these are all calibrated on.
LEAST_TO_SPLIT = 10

#: Pictures by their relative paths, with their classes.
Labelled = tuple[tuple[str, str], ...]

_KEYS = ("classes", "class_names", "labels", "names", "categories", "id2label", "idx_to_class")
_TURNED = ("class_to_idx", "label2id", "class_to_index")


@dataclass(frozen=True)
class Shown:
    """What the pictures show. Paths are those of this machine.

    ``calibration`` and ``held_out`` are folders, or files that data sets come in. ``folders`` are
    the names of class folders in their order. ``split`` are held-out pictures and the others, each
    a path below ``calibration`` with its class, where no folder parts them; ``told_by`` is the
    table that told the classes, ``parted`` the one that told which are held out, and ``numbers``
    the names of the numbers that one gives each picture instead. ``masks`` is a folder of pictures
    called like these. ``array`` is the shape of a sample where they are no pictures: one array file
    each.
    """

    calibration: Path
    held_out: Path | None = None
    folders: tuple[str, ...] = ()
    split: tuple[Labelled, Labelled] | None = None
    options: tuple[tuple[str, str], ...] = ()
    held_out_options: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()
    task: str | None = None
    told_by: str = ""
    parted: str = ""
    masks: Path | None = None
    array: tuple[int, ...] | None = None
    numbers: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """The folder whose class folders can be tried on the network: the held-out part's."""
        return self.held_out or self.calibration


def show(found: PictureSet, tables: Iterable[Path] = ()) -> Shown:
    """Return what a set of pictures shows, and what a table says of it."""
    if found.kind == "yolo":
        return _yolo(found.path)
    if found.kind == "coco":
        return Shown(found.path, task="detection")
    if found.kind == "arrays":
        return _arrays(found.path)
    seen = look(found.path)
    if not seen.classes and seen.held_out is None:
        seen = replace(seen, held_out=_part_of_another(seen.calibration))
    if seen.classes and seen.held_out is None:
        return Shown(seen.calibration, None, seen.classes, _split_classes(seen))
    told = _by_table(seen.calibration, tables) if not seen.classes else None
    if told is not None:
        return told
    masks = masks_beside(seen.calibration) if not seen.classes else None
    split = None
    if masks is not None and seen.held_out is None:
        names = [(path.name, "") for path in pictures_of(seen.calibration)]
        split = _split(names)
    return Shown(seen.calibration, seen.held_out, seen.classes, split, masks=masks)


def _arrays(folder: Path) -> Shown:
    """Return class folders of arrays; the first file tells what a sample is like."""
    seen = look(folder, ARRAYS)
    files = [one for name in seen.classes for one in files_of(seen.calibration / name, ARRAYS)]
    shape = array_shape(files[0]) if files else None
    split = _split_classes(seen, ARRAYS) if seen.held_out is None else None
    return Shown(seen.calibration, seen.held_out, seen.classes, split, array=shape)


def _split_classes(
    seen: PictureFolder, kinds: frozenset[str] = PICTURES
) -> tuple[Labelled, Labelled] | None:
    return _split(
        [
            (f"{name}/{path.name}", name)
            for name in seen.classes
            for path in files_of(seen.calibration / name, kinds)
        ]
    )


def _part_of_another(folder: Path) -> Path | None:
    """Return ``val/images`` for ``train/images``: the folder of that name in the held-out part."""
    if plain(folder.parent.name) not in TRAINED:
        return None
    parts = {plain(entry.name): entry for entry in _entries(folder.parent.parent)}
    named = [parts[name] / folder.name for name in HELD_OUT if name in parts]
    return next((one for one in named if pictures_of(one)), None)


def holds_pictures(archive: Path) -> bool:
    """Tell whether an archive is one of pictures; of one that is no ZIP file its name must do."""
    if archive.suffix.lower() != ".zip":
        return True
    try:
        with zipfile.ZipFile(archive) as opened:
            return any(name.lower().endswith(tuple(PICTURES)) for name in opened.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def masks_beside(folder: Path) -> Path | None:
    """Return the folder beside pictures that has a picture for nearly each of them, of its name.

    For ``images/train`` it may also be the part ``masks/train`` of a folder beside ``images``.
    """
    names = {_plain_stem(path) for path in pictures_of(folder)}
    beside = [entry for entry in _entries(folder.parent) if entry.name.lower() in MASKS]
    for above in _entries(folder.parent.parent):
        if above.name.lower() in MASKS:
            beside += [part for part in _entries(above) if plain(part.name) == plain(folder.name)]
    for other in beside:
        there = {_plain_stem(path) for path in pictures_of(other)}
        if other != folder and names and len(names & there) >= 0.9 * len(names):
            return other
    return None


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _plain_stem(path: Path) -> str:
    return re.sub(r"[_\-. ]?(masks?|labels?|gt|seg)$", "", path.stem.casefold())


def _yolo(path: Path) -> Shown:
    text = read_text(path)
    held_out = re.search(r"^(val|test):[ \t]*\S", text, re.MULTILINE)
    train = re.search(r"^train:[ \t]*\S", text, re.MULTILINE)
    part = held_out.group(1) if held_out else None
    return Shown(
        path,
        path if held_out and train else None,
        options=(("split", "train" if train else part or "train"),),
        held_out_options=(("split", part or "val"),),
        names=_yolo_names(text),
        task="detection",
    )


def _yolo_names(text: str) -> tuple[str, ...]:
    listed = re.search(r"^names:[ \t]*\[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    if listed is not None:
        parts = [part.strip().strip("'\"") for part in listed.group(1).split(",")]
        return tuple(part for part in parts if part)
    block = re.search(r"^names:[ \t]*\n((?:[ \t]+.*\n?|-.*\n?)+)", text, re.MULTILINE)
    if block is None:
        return ()
    found = re.findall(r"^[ \t]*(?:-|\d+:)[ \t]*(.+?)[ \t]*$", block.group(1), re.MULTILINE)
    return tuple(name.strip("'\"") for name in found)


def pictures_of(folder: Path) -> list[Path]:
    """Return the pictures of one folder, sorted."""
    return files_of(folder, PICTURES)


def files_of(folder: Path, kinds: frozenset[str]) -> list[Path]:
    """Return the files of one folder with one of some suffixes, sorted."""
    return [path for path in _entries(folder) if path.suffix.lower() in kinds and path.is_file()]


def _by_table(folder: Path, tables: Iterable[Path]) -> Shown | None:
    """Return the pictures of a folder by the classes, or the numbers, that tables give them."""
    numbers = None
    pictures: list[Path] | None = None
    classes: list[Table] = []
    for path in tables:
        if pictures is None:
            pictures = [one for one in folder.rglob("*") if one.suffix.lower() in PICTURES]
        table = read_table(path, pictures)
        if table is None:
            continue
        if len(table.classes) > 1:
            classes.append(table)
        elif table.numbers and numbers is None:
            numbers = Shown(folder, told_by=path.name, numbers=table.numbers)
    parted = _parted(folder, classes)
    if parted is not None:
        return parted
    for table in classes:
        split = _split(_pairs(folder, table))
        if split is not None:
            return Shown(folder, None, table.classes, split, told_by=table.path.name)
    return numbers


def _parted(folder: Path, tables: Sequence[Table]) -> Shown | None:
    """Return the parts that a table of training and one of validation tell, by their names."""
    trained = next((one for one in tables if _is_part(one.path, TRAINED)), None)
    held_out = next((one for one in tables if _is_part(one.path, HELD_OUT)), None)
    if trained is None or held_out is None or not set(held_out.classes) <= set(trained.classes):
        return None
    tested = {path for path, _ in held_out.rows}
    rest = [pair for pair in trained.rows if pair[0] not in tested]
    if not rest:
        return None
    split = (_pairs(folder, held_out), _pairs(folder, replace(trained, rows=tuple(rest))))
    name = trained.path.name
    return Shown(folder, None, trained.classes, split, told_by=name, parted=held_out.path.name)


def _is_part(path: Path, names: Iterable[str]) -> bool:
    return bool(set(re.split(r"[_\-. ]", plain(path.stem))) & set(names))


def _pairs(folder: Path, table: Table) -> Labelled:
    pairs = [(one.relative_to(folder).as_posix(), label) for one, label in table.rows]
    return tuple(sorted(pairs, key=lambda pair: (pair[1], pair[0])))


def _split(pairs: Sequence[tuple[str, str]]) -> tuple[Labelled, Labelled] | None:
    """Hold every fifth picture of each class out; ``None`` where a class has too few."""
    by_class: dict[str, list[tuple[str, str]]] = {}
    for pair in pairs:
        by_class.setdefault(pair[1], []).append(pair)
    if any(len(own) < LEAST_TO_SPLIT for own in by_class.values()):
        return None
    held_out: list[tuple[str, str]] = []
    rest: list[tuple[str, str]] = []
    for own in by_class.values():
        held_out += own[EVERY - 1 :: EVERY]
        rest += [one for number, one in enumerate(own) if number % EVERY != EVERY - 1]
    return tuple(held_out), tuple(rest)


def to_try(shown: Shown, labels: Sequence[str]) -> list[tuple[Path, int]]:
    """Return labelled pictures by the number of their class, as many of each class."""
    numbers = {name.casefold(): number for number, name in enumerate(labels)}
    folders = [
        (name, numbers[name.casefold()]) for name in shown.folders if name.casefold() in numbers
    ]
    if len(folders) != len(shown.folders) or not folders or shown.array is not None:
        return []
    each = max(2, TRIED // len(folders))
    found: list[tuple[Path, int]] = []
    for name, number in folders:
        if shown.split is not None:
            pictures = [shown.calibration / one for one, label in shown.split[0] if label == name]
        else:
            pictures = pictures_of(shown.root / name)
        step = max(1, len(pictures) // each)
        found += [(path, number) for path in pictures[::step][:each]]
    return found


@dataclass(frozen=True)
class Labels:
    """The classes' names in the network's order, and where that was read."""

    names: tuple[str, ...] = ()
    where: str = ""


def labels_for(
    shown: Shown | None,
    count: int | None,
    *,
    facts: Mapping[str, Any],
    scripts: Iterable[Script],
    files: Iterable[Path],
) -> Labels:
    """Return the labels: those that somebody wrote for just these folders, else the folders."""
    folders = shown.folders if shown is not None else ()
    if shown is not None and shown.names and count in (None, len(shown.names)):
        return Labels(shown.names, shown.calibration.name)
    for names, where in _candidates(facts, scripts, files):
        if folders:
            if sorted(map(str.casefold, names)) == sorted(map(str.casefold, folders)):
                return Labels(names, where)
        elif count is not None and count == len(names) and len(set(names)) == count:
            return Labels(names, where)
    if folders and count in (None, len(folders)):
        if shown is not None and shown.told_by:
            return Labels(folders, f"the classes of {shown.told_by}, in their order")
        return Labels(folders, "the folders' names, as torchvision's ImageFolder numbers them")
    return Labels()


def _candidates(
    facts: Mapping[str, Any], scripts: Iterable[Script], files: Iterable[Path]
) -> Iterable[tuple[tuple[str, ...], str]]:
    for key, value in facts.items():
        last = key.rpartition(".")[2]
        names = _listed(value, turned=last in _TURNED)
        if names and last in (*_KEYS, *_TURNED):
            yield names, f"{key} in the checkpoint"
    for path in files:
        try:
            text = read_text(path).removeprefix("\ufeff")
            lines = [line.strip() for line in text.splitlines()]
        except (OSError, ValueError):
            continue
        yield tuple(line for line in lines if line), path.name
    for script in scripts:
        for name, node in script.assigned.items():
            try:
                value = script.value(node)
            except Unknown:
                continue
            if names := _listed(value, turned=False):
                yield names, f"{name} in {script.path.name}"


def _listed(value: Any, *, turned: bool) -> tuple[str, ...]:
    if isinstance(value, dict):
        pairs = list(value.items())
        if turned or (pairs and all(isinstance(one, int) for _, one in pairs)):
            pairs = [(number, name) for name, number in pairs]
        try:
            ordered = sorted((int(number), str(name)) for number, name in pairs)
        except (TypeError, ValueError):
            return ()
        if [number for number, _ in ordered] == list(range(len(ordered))):
            return tuple(name for _, name in ordered)
        return ()
    if isinstance(value, list | tuple) and len(value) > 1:
        return tuple(value) if all(isinstance(one, str) for one in value) else ()
    return ()

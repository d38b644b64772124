"""Finds out what a source is, and lists what is in it."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Sequence, Tuple

from hefsmith_worker.calibration import (
    archives,
    array_files,
    arrays,
    datasets,
    folders,
    video,
)
from hefsmith_worker.calibration.data import is_data
from hefsmith_worker.calibration.items import (
    Item,
    Listing,
    is_array_name,
    is_picture_name,
    with_plain_text,
)
from hefsmith_worker.calibration.model import ANY_INPUT, CalibrationError, InputSpec, Source
from hefsmith_worker.contract.counting import counted
from hefsmith_worker.contract.options import SOURCE_FORMS
from hefsmith_worker.regular import check_regular, read_regular

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

#: A video gives at most this many times the wanted count, so near-duplicates can be dropped.
VIDEO_SPARE = 2

#: A value of a data file that is an absolute path, here or on Windows.
_ABSOLUTE_VALUE = re.compile(r"""(?m)[:\-\[,]\s*["']?(?:/|[A-Za-z]:[\\/])""")


def kind_of(source: Source) -> str:
    """Return one of :data:`SOURCE_FORMS`; :class:`CalibrationError` tells what is none of them."""
    path = Path(source.path)
    if source.kind != "auto":
        if source.kind not in SOURCE_FORMS:
            msg = f"source kind {source.kind!r} is not one of {', '.join(SOURCE_FORMS)}"
            raise CalibrationError(msg, "calib.source")
        if source.kind != "glob":
            _must_exist(path)
        return source.kind
    if not _exists(path) and any(mark in source.path for mark in "*?["):
        return "glob"
    _must_exist(path)
    if path.is_dir():
        both = (path / "images").is_dir() and (path / "labels").is_dir()
        return "yolo" if both or datasets.labels_beside(path) is not None else "folder"
    return _kind_of_file(path)


def _kind_of_file(path: Path) -> str:
    name = path.name.lower()
    by_suffix = {
        ".npy": "npy", ".npz": "npz", ".zip": "zip", ".json": "coco", ".yaml": "yolo",
        ".yml": "yolo", ".txt": "list", ".csv": "list", ".tsv": "list", ".lst": "list",
    }  # fmt: skip
    if name.endswith(TAR_SUFFIXES):
        return "tar"
    if name.endswith(video.SUFFIXES):
        return "video"
    if path.suffix.lower() in by_suffix:
        return by_suffix[path.suffix.lower()]
    if is_picture_name(name):
        msg = f"{path}: a single picture is not a calibration set"
        raise CalibrationError(msg, "calib.source", "Name the folder that holds it.", str(path))
    msg = f"{path}: not a kind of source that is known"
    fix = "Use a folder, glob, list file, .npy/.npz, tar, zip, video, COCO .json or YOLO .yaml."
    raise CalibrationError(msg, "calib.source", fix, str(path))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError, RuntimeError):
        return False  # too long, a link to itself, or a zero byte


def _must_exist(path: Path) -> None:
    if _exists(path):
        if not path.is_dir():
            try:
                check_regular(path, None)
            except OSError as error:  # a pipe would be waited for without end
                msg = f"{path}: {error.strerror}"
                raise CalibrationError(
                    msg, "calib.source", "Name a folder, or a file on a disk.", str(path)
                ) from error
        return
    what = "a link that leads nowhere or in a circle" if os.path.islink(path) else "does not exist"
    msg = f"{path}: {what}"
    raise CalibrationError(
        msg, "calib.missing", "Correct the source in the recipe; paths start at its folder.",
        str(path),
    )  # fmt: skip


def list_source(source: Source, spec: InputSpec, scratch: Path, wanted: int) -> Listing:
    """List one source for one input. Raises :class:`CalibrationError`, also when it is empty."""
    kind = kind_of(source)
    path = Path(source.path)
    readers: Dict[str, Callable[[], Listing]] = {
        "folder": lambda: _folder(path),
        "glob": lambda: folders.list_glob(source.path),
        "list": lambda: folders.list_file(path, source.mounts),
        "npy": lambda: arrays.list_npy(path, spec),
        "npz": lambda: arrays.list_npz(path, spec, scratch),
        "tar": lambda: archives.list_tar(path, scratch),
        "zip": lambda: archives.list_zip(path),
        "video": lambda: video.list_video(path, scratch, source.interval_s, wanted * VIDEO_SPARE),
        "coco": lambda: datasets.list_coco(path, source, source.mounts),
        "yolo": lambda: datasets.list_yolo(path, source, source.mounts),
    }
    if kind in ("npy", "npz", "list", "tar", "zip", "video", "coco") and path.is_dir():
        msg = f"{path}: a folder, but the source says kind: {kind}"
        raise CalibrationError(msg, "calib.source", None, str(path))
    listing = readers[kind]()
    if kind in ("folder", "list") and listing.items and _all_arrays(listing):
        files = array_files.list_arrays(listing.items, spec, source.path)
        listing = replace(files, notes=[*listing.notes, *files.notes])
    listing.items = [with_plain_text(item) for item in listing.items]
    if not listing.items:
        msg = f"{source.path}: no pictures in it"
        fix = "Known suffixes: .jpg .jpeg .png .bmp .tif .webp .gif .ppm and more, in any case."
        raise CalibrationError(msg, "calib.empty", fix, source.path)
    if is_data(spec) and not listing.prepared:
        shape = ", ".join(str(side) for side in ("N", *spec.preprocess.shape))
        msg = (
            f"{source.path}: pictures cannot fill the input {spec.name}, which takes "
            f"{spec.preprocess.channels} values per position"
        )
        fix = f"Name a .npy or .npz file with an array of shape ({shape})."
        raise CalibrationError(msg, "calib.channels", fix, source.path)
    return listing


def list_sources(
    pairs: Sequence[Tuple[InputSpec, Source]], scratch: Path, wanted: int
) -> List[Listing]:
    """List the source of each input, pictures that several inputs share only once."""
    listings: List[Listing] = []
    known: Dict[Source, Listing] = {}
    for spec, source in pairs:
        listing = known.get(source)
        if listing is None or listing.prepared:
            listing = known[source] = list_source(source, spec, scratch, wanted)
        listings.append(listing)
    return listings


def _folder(path: Path) -> Listing:
    """List a folder's pictures, or its arrays where it has no pictures."""
    found = folders.list_folder(path)
    return found if found.items else folders.list_folder(path, is_array_name)


def _all_arrays(listing: Listing) -> bool:
    return all(is_array_name(item.path) for item in listing.items)


def source_for(sources: Mapping[str, Source], name: str) -> Source:
    """Return the source of an input. Raises :class:`CalibrationError` when it has none."""
    found = sources.get(name) or sources.get(ANY_INPUT)
    if found is None:
        have = ", ".join(sorted(sources)) or "none"
        msg = f"no calibration source for the input {name}; there are sources for: {have}"
        raise CalibrationError(msg, "calib.inputs", "Name each ONNX input under source:.")
    return found


def pair_inputs(listings: Sequence[Tuple[InputSpec, Listing]]) -> List[Tuple[Item, ...]]:
    """Join the inputs' items to samples: by row, by equal names, else it is an error."""
    first_spec, first = listings[0]
    if len(listings) == 1:
        return [(item,) for item in first.items]
    columns = [listing.items for _, listing in listings]
    if all(column is columns[0] for column in columns):
        return [tuple([item] * len(columns)) for item in columns[0]]
    for spec, listing in listings[1:]:
        if len(listing.items) != len(first.items):
            msg = (
                f"input {first_spec.name} has {counted(len(first.items), 'sample')}, "
                f"input {spec.name} has {len(listing.items)}"
            )
            raise CalibrationError(
                msg, "calib.pairing", "Every input needs the same samples, under the same names."
            )
    if any(item.row is not None for column in columns for item in column):
        return list(zip(*columns))
    keyed = [{_stem(item.name): item for item in column} for column in columns]
    for (spec, _), names in zip(listings[1:], keyed[1:]):
        lonely = sorted(set(keyed[0]) ^ set(names))
        if lonely:
            msg = f"inputs {first_spec.name} and {spec.name}: {lonely[0]} is only in one of them"
            raise CalibrationError(
                msg, "calib.pairing", "Pictures belong together by equal names (suffix aside)."
            )
    return [tuple(names[_stem(item.name)] for names in keyed) for item in columns[0]]


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0]


@dataclass(frozen=True)
class Surroundings:
    """Where a list or data set leads to, for the host: a container needs it mounted.

    ``outside`` are real folders outside of the source's own, absolute, sorted, none inside
    another. ``linked`` are folders that entries reach through links: as they are named, and as
    they are. ``relative`` tells that the file says nothing but ways from its own folder.
    """

    outside: Tuple[str, ...] = ()
    linked: Tuple[Tuple[str, str], ...] = ()
    relative: bool = True


def look_around(source: Source) -> Surroundings:
    """Return where a list or data set leads to; other sources stand for themselves."""
    items = _pointed_to(source)
    own = str(_own_folder(source))
    parents = {_data_root(Path(item.path).resolve().parent) for item in items}
    outside = sorted(place for place in parents if not _inside(place, own))
    kept: List[str] = []
    for place in outside:
        if not any(_inside(place, other) for other in kept):
            kept.append(place)
    linked = set()
    for named in {os.path.dirname(os.path.abspath(item.path)) for item in items}:
        real = os.path.realpath(named)
        if named != real:
            linked.add((named, real))
    return Surroundings(tuple(kept), tuple(sorted(linked)), _is_relative(source, items))


def _is_relative(source: Source, items: Sequence[Item]) -> bool:
    if any(folders.is_absolute(item.name) for item in items):
        return False
    if kind_of(source) != "yolo" or Path(source.path).is_dir():
        return True
    text = read_regular(Path(source.path), datasets.YAML_LIMIT).decode("utf-8", "replace")
    return _ABSOLUTE_VALUE.search(text) is None


def has_validation(source: Source) -> bool:
    """Tell whether a source is a YOLO data set with a validation part."""
    path = Path(source.path)
    return kind_of(source) == "yolo" and (path.is_dir() or datasets.has_split(path, "val"))


def _own_folder(source: Source) -> Path:
    own = Path(source.path).resolve()
    return own if own.is_dir() else own.parent


def _pointed_to(source: Source) -> Sequence[Item]:
    kind = kind_of(source)
    if kind == "list":
        return folders.list_file(Path(source.path)).items
    if kind == "yolo" and not Path(source.path).is_dir():
        items = datasets.list_yolo(Path(source.path), source).items
        if source.split is None and has_validation(source):
            # Samples for the verdict are taken from there unless the recipe names others.
            held_out = replace(source, split="val")
            with contextlib.suppress(CalibrationError):  # told when it is really needed
                items = [*items, *datasets.list_yolo(Path(source.path), held_out).items]
        return items
    if kind == "coco":
        return datasets.list_coco(Path(source.path), source).items
    return ()


def _data_root(folder: Path) -> str:
    """Return the folder above ``images``, so that ``labels`` beside it comes along."""
    if datasets.labels_beside(folder) is None:
        return str(folder)
    parts = folder.parts
    last = len(parts) - 1 - parts[::-1].index("images")
    return str(Path(*parts[:last]))


def _inside(place: str, root: str) -> bool:
    return place == root or Path(root) in Path(place).parents

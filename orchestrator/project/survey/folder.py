"""What lies in a folder: networks, pictures, data sets, labels, code; by names and first bytes."""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hefsmith_worker.calibration.datasets import has_pictures
from hefsmith_worker.contract.sources import BY_NAME, SOURCES, SourceKind
from hefsmith_worker.packed_weights import Packed, is_checkpoint, is_part, packed

from orchestrator.errors import ArtifactError
from orchestrator.inspect.checkpoint import Checkpoint, read_checkpoint
from orchestrator.inspect.source_files import CHECKPOINTS, ending_of
from orchestrator.project.picture_folder import (
    ARRAYS,
    HELD_OUT,
    MASKS,
    PICTURES,
    TRAINED,
    plain,
    without_accents,
)
from orchestrator.project.recipe import MODEL_NAME
from orchestrator.project.survey.code import NOTEBOOK
from orchestrator.project.survey.tables import SUFFIXES as TABLES
from orchestrator.reading import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Folders that hold no work of the user's.
_OTHERS = frozenset(
    {"artifacts", "node_modules", "site-packages", "__pycache__", "venv", "env", "wandb", "mlruns"}
)
_DEEPEST = 6
_MOST_ENTRIES = 60_000
_MOST_SCRIPTS = 200
_MOST_TABLES = 20
#: Folders of pictures for readers of a project, and names of folders that are no class.
_FOR_READERS = re.compile(r"docs?|fig(ure)?s?|readme.*|screenshots?|logos?|icons?|badges?")
_NO_CLASS = frozenset(
    {"images", "image", "imgs", "img", "pics", "pictures", "photos", "png", "jpg", "labels",
     "masks", "samples", "sample", "examples", "example", "demo", "assets", "data", "results"}
)  # fmt: skip
#: Archives in which people keep pictures.
PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".7z", ".rar")
#: What checkpoints are called as well, and other files too.
_SHARED = (".tar", ".zip", ".bin", ".pkl", ".weights", ".model", ".mdl")
_RECIPES = "*/model.yaml"
#: Bytes of a YAML or JSON file that are looked at to tell what it is.
_HEAD = 4096

#: A kind of ``SOURCES`` that is a file, or ``weights`` of torch.
NetworkKind = str
PictureKind = Literal["classes", "yolo", "coco", "pictures", "arrays"]

#: Names that say nothing about a model.
_PLAIN = re.compile(
    r"^(best|melhor|mejor|meilleur|beste|last|ultimo|modelo?|modele|pesos|model|weights?|state(_dict)?|final|net(work)?|epoch|latest|"
    r"pytorch_model|model_final|ckpts?|checkpoints?(\W*\d+)?|epoch\W*\d.*|version\W*\d+|runs?|logs?|"
    r"export(ed)?|out(put)?|whole|full|script(ed)?|traced?)$",
    re.IGNORECASE,
)
#: What people call the best checkpoint of a run, in five languages.
_BEST = re.compile(r"best|melhor|mejor|meilleur")
_ENDINGS = re.compile(
    r"[_\-.]?(best|last|final|state(_?dict)?|weights?|whole|full|script(ed)?|traced?|fp32|ckpt|"
    r"checkpoint|epoch[_\-]?\d+)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class NetworkFile:
    """A file (or a SavedModel's folder) that a recipe can start from.

    ``packed`` tells what it is where its network has to be taken out of it first.
    """

    kind: NetworkKind
    path: Path
    checkpoint: Checkpoint | None = None
    changed: float = 0.0
    packed: str = ""

    @property
    def words(self) -> str:
        """What it is, as people say it."""
        if self.packed:
            return self.packed
        if self.checkpoint is None:
            return BY_NAME[self.kind].title
        kind = self.checkpoint.kind
        if kind == "ultralytics":
            return f"Ultralytics checkpoint, {self.checkpoint.task}"
        words = {"torchscript": "TorchScript", "network": "PyTorch network, saved whole"}
        return words.get(kind, "PyTorch weights")


@dataclass(frozen=True)
class PictureSet:
    """Pictures that lie together: ``path`` as a recipe would name them, ``count`` of them."""

    kind: PictureKind
    path: Path
    count: int = 0


@dataclass(frozen=True)
class Folder:
    """What was found, best first; all paths are below ``root``."""

    root: Path
    networks: tuple[NetworkFile, ...] = ()
    pictures: tuple[PictureSet, ...] = ()
    scripts: tuple[Path, ...] = ()
    labels: tuple[Path, ...] = ()
    zoo: tuple[Path, ...] = ()
    hefs: tuple[Path, ...] = ()
    arrays: tuple[Path, ...] = ()
    array_sets: tuple[PictureSet, ...] = ()
    tables: tuple[Path, ...] = ()
    packed: tuple[Path, ...] = ()
    cut_short: bool = False


@dataclass
class _Gathered:
    networks: list[NetworkFile] = field(default_factory=list)
    counts: dict[Path, int] = field(default_factory=dict)
    sets: list[PictureSet] = field(default_factory=list)
    scripts: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)
    zoo: list[Path] = field(default_factory=list)
    hefs: list[Path] = field(default_factory=list)
    arrays: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    packed: list[Path] = field(default_factory=list)
    entries: int = 0


def look_around(
    root: Path, *, recipes: Path | None = None, skipping: Iterable[Path] = ()
) -> Folder:
    """Return what lies in a folder and below, without what a recipe of ``recipes`` has.

    ``skipping`` are folders that are left out, too.
    """
    found = _Gathered()
    skipped = {path.resolve() for path in skipping}
    if recipes is not None:
        skipped |= {path.parent.resolve() for path in recipes.glob(_RECIPES)}
    for folder, names, entries in _walk(root, skipped):
        found.entries += len(entries)
        whole = [kind for kind in SOURCES if kind.inside is not None and kind.inside in names]
        if whole:
            found.networks.append(NetworkFile(whole[0].name, folder, None, _changed(folder)))
            continue
        for entry in entries:
            _take(found, Path(entry.path))
        pictures = sum(1 for name in names if Path(name).suffix.lower() in PICTURES)
        if pictures and not any(
            _FOR_READERS.fullmatch(part) for part in map(plain, folder.relative_to(root).parts)
        ):
            found.counts[folder] = pictures
        if found.entries > _MOST_ENTRIES:
            break
    sets = [*found.sets, *_picture_sets(root, found.counts)]
    order = {"yolo": 0, "coco": 0, "classes": 0, "pictures": 1}
    return Folder(
        root,
        tuple(sorted(found.networks, key=_worth)),
        tuple(sorted(sets, key=lambda one: (order[one.kind], *_many(one, root)))),
        tuple(sorted(found.scripts, key=lambda path: (len(path.parts), path))[:_MOST_SCRIPTS]),
        tuple(found.labels),
        tuple(found.zoo),
        tuple(found.hefs),
        tuple(found.arrays),
        tuple(_array_sets(root, found.arrays)),
        tuple(found.tables[:_MOST_TABLES]),
        tuple(found.packed),
        found.entries > _MOST_ENTRIES,
    )


def _many(one: PictureSet, root: Path) -> tuple[bool, int, str]:
    """Order sets of a kind: the largest first, and masks after the pictures that they are of."""
    above = {part.lower() for part in one.path.relative_to(root).parts}
    return one.kind == "pictures" and bool(above & {*MASKS}), -one.count, str(one.path)


def _walk(
    root: Path, skipped: set[Path]
) -> Iterator[tuple[Path, set[str], list[os.DirEntry[str]]]]:
    """Yield folders with what lies in them; hidden ones and other people's are left out."""
    pending = [(root, 0)]
    while pending:
        folder, depth = pending.pop(0)
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError:
            continue
        files = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                inside = entry.is_dir(follow_symlinks=False)
                regular = entry.is_file()
            except OSError:
                continue
            if not inside:
                # A pipe or a device is nobody's network, and reading it may never end.
                files += [entry] if regular else []
            elif (
                depth < _DEEPEST
                and entry.name.lower() not in _OTHERS
                and not (Path(entry.path) / "pyvenv.cfg").exists()
                and Path(entry.path).resolve() not in skipped
            ):
                pending.append((Path(entry.path), depth + 1))
        yield folder, {entry.name for entry in files}, files


def _take(found: _Gathered, path: Path) -> None:
    suffix = ending_of(path)
    if is_part(path):
        return
    if (inside := _packed(path)) is not None:
        found.networks.append(NetworkFile("weights", path, None, _changed(path), inside.what))
    elif _is_weights(path, suffix):
        checkpoint = Checkpoint("weights")
        with suppress(ArtifactError):  # told once it is the one that is chosen
            checkpoint = read_checkpoint(path) if suffix in CHECKPOINTS else checkpoint
        found.networks.append(NetworkFile("weights", path, checkpoint, _changed(path)))
    elif (kind := _kind_of(path, suffix)) is not None:
        found.networks.append(NetworkFile(kind.name, path, None, _changed(path)))
    elif suffix in (".py", NOTEBOOK):
        found.scripts.append(path)
    elif suffix in (".npy", ".npz"):
        found.arrays.append(path)
    elif suffix in TABLES:
        found.tables.append(path)
    elif path.name.lower().endswith(PACKED):
        found.packed.append(path)
    elif suffix == ".hef":
        found.hefs.append(path)
    elif suffix in (".yaml", ".yml"):
        _take_yaml(found, path)
    elif suffix == ".json" and _is_coco(path):
        found.sets.append(PictureSet("coco", path))
    elif suffix == ".txt" and re.search(r"label|class|names", path.stem, re.IGNORECASE):
        found.labels.append(path)


def _packed(path: Path) -> Packed | None:
    """Return what a file is that has a network in it; a list of parts stands beside its parts."""
    name = path.name.lower()
    return packed(path) if name.endswith((*_SHARED, ".pt2", ".safetensors")) else None


def _is_weights(path: Path, suffix: str) -> bool:
    """Tell a checkpoint by its ending, or by its bytes where others use that ending too."""
    if suffix in CHECKPOINTS or suffix == ".safetensors" or path.name == "pytorch_model.bin":
        return True
    return path.suffix.lower() in _SHARED and is_checkpoint(path)


def _kind_of(path: Path, suffix: str) -> SourceKind | None:
    """Return the kind of network that a file is by its ending, and its start if others use that."""
    for kind in SOURCES:
        if suffix in kind.endings or (suffix in kind.shared_endings and _starts(path, kind.magic)):
            return kind
    return None


def _take_yaml(found: _Gathered, path: Path) -> None:
    text = _head(path)
    keys = set(re.findall(r"^([A-Za-z_]+):", text, re.MULTILINE))
    if "names" in keys and keys & {"train", "val"}:
        found.sets += [PictureSet("yolo", path)] if has_pictures(path) else []
    elif keys & {"network", "paths", "base"} and keys & {"parser", "postprocessing", "network"}:
        found.zoo.append(path)


def _is_coco(path: Path) -> bool:
    text = _head(path)
    marks = ('"annotations"', '"categories"', '"file_name"')
    return '"images"' in text and any(mark in text for mark in marks)


def _head(path: Path) -> str:
    try:
        with open_regular(path) as stream:
            return stream.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        return ""


def _starts(path: Path, magic: bytes) -> bool:
    try:
        with open_regular(path) as stream:
            return stream.read(len(magic)) == magic
    except OSError:
        return False


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _worth(network: NetworkFile) -> tuple[int, int, float, str]:
    """Order networks: those that are whole first, the best checkpoint of a run, the newest."""
    rank = 2 if network.kind == "weights" else BY_NAME[network.kind].rank or 2
    if network.packed:
        rank = 9
    if network.checkpoint is not None and network.checkpoint.kind == "ultralytics":
        rank = 0
    name = network.path.stem.lower()
    state = 0 if _BEST.search(name) else 2 if "last" in name or "epoch" in name else 1
    return rank, state, -network.changed, str(network.path)


def _picture_sets(root: Path, counts: dict[Path, int]) -> Iterator[PictureSet]:
    """Yield data sets by the folders that have pictures: classes, parts of them, plain ones."""
    taken: set[Path] = set()
    parts = {*TRAINED, *HELD_OUT}
    groups: dict[Path, list[Path]] = {}
    for folder in counts:
        if folder != root:
            groups.setdefault(folder.parent, []).append(folder)
    whole: dict[Path, int] = {}
    for parent, children in groups.items():
        names = {plain(child.name) for child in children}
        if len(children) < 2 or names <= parts or names & _NO_CLASS:
            continue
        split = plain(parent.name) in parts and parent != root
        top = parent.parent if split else parent
        whole[top] = whole.get(top, 0) + sum(counts[child] for child in children)
        taken.update(children)
    for top, count in whole.items():
        yield PictureSet("classes", top, count)
    loose: dict[Path, int] = {}
    for folder, count in counts.items():
        if folder in taken or any(top in folder.parents for top in whole):
            continue
        top = folder.parent if plain(folder.name) in parts and folder != root else folder
        loose[top] = loose.get(top, 0) + count
    for top, count in loose.items():
        if count >= 2:
            yield PictureSet("pictures", top, count)


def _array_sets(root: Path, arrays: Iterable[Path]) -> Iterator[PictureSet]:
    """Yield folders of classes that have one array a sample, the largest first."""
    counts = Counter(path.parent for path in arrays if path.suffix.lower() in ARRAYS)
    found = [one for one in _picture_sets(root, counts) if one.kind == "classes"]
    for one in sorted(found, key=lambda each: (-each.count, str(each.path))):
        yield replace(one, kind="arrays")


def model_name(network: Path, root: Path) -> str:
    """Return a name for the model of a network: its file's, else its folder's."""
    stem = network.name if network.is_dir() else network.name.removesuffix(".tar")
    stem = stem if network.is_dir() else Path(stem).stem
    previous = None
    while stem != previous:
        previous, stem = stem, _ENDINGS.sub("", stem)
    above = [one.name for one in network.parents if one != root and root in one.parents]
    candidates = [stem, *above[:1], root.name, "model"]
    for one in candidates:
        word = re.sub(r"[^A-Za-z0-9_-]+", "-", without_accents(one)).strip("-_")[:63]
        if MODEL_NAME.match(word) and not _PLAIN.match(word):
            return word
    return "model"

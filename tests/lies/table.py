"""The table: each row is a lie that may not pass, and an honest twin that nobody may blame.

A row's function gets a bench and whether to plant the lie, and returns what was told: ``None``
when nothing was. Both are run through the same command.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from hefsmith_worker.contract.layout import ONNX

from tests.lies import answers, detectors, networks
from tests.lies.bench import ARCH, Bench, Said, flip, replace_quietly
from tests.lies.liars import GIVEN, judged

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

Look = Callable[[Bench, bool], str | None]


@dataclass(frozen=True)
class Row:
    """One lie with its control; ``group`` says what kind of lie it is."""

    group: str
    name: str
    look: Look


def _error(said: Said) -> str:
    """Return the line of a command that says what is wrong."""
    lines = (said.out + said.err).splitlines()
    return next((line for line in lines if "error: " in line), f"exit {said.code}")[:120]


HEF = f"model.{ARCH}.emulated.hef"


# --- verdicts: a network that proves nothing, by task ---------------------------------------------

Maker = Callable[[], "onnx.ModelProto"]
HONEST: dict[str, Maker] = {
    "classification": networks.brightness,
    "other": partial(networks.vector, 1),
    "embedding": partial(networks.vector, 16),
    "segmentation": partial(networks.maps, 3),
    "pose": partial(networks.points, top=0.9),
    "detection": partial(networks.maps, 12),
    "obb": partial(networks.maps, 12),
}
#: By task: what proves nothing, and what makes it.
EMPTY: dict[str, dict[str, Maker]] = {
    "classification": {
        "right on none of the labels": partial(networks.brightness, swapped=True),
        "the same answer for all": partial(networks.brightness, scale=0.0),
    },
    "other": {"one number for all": partial(networks.vector, 1, scale=0.0)},
    "embedding": {
        "one embedding for all": partial(networks.vector, 16, scale=0.0),
        "embeddings lost in 8 bits": partial(networks.vector, 16, scale=1e-5, tilt=9.0),
    },
    "segmentation": {
        "only the background": partial(networks.maps, 3, favourite=0),
        "only one class": partial(networks.maps, 3, favourite=2),
        "a constant mask": partial(networks.maps, 3, scale=0.0),
    },
    "pose": {"no key point": partial(networks.points, top=0.02)},
    "detection": {"a constant head": partial(networks.maps, 12, scale=0.0)},
    "obb": {"a constant oriented head": partial(networks.maps, 12, scale=0.0)},
}


def _verdict(task: str, lie: str, bench: Bench, planted: bool) -> str | None:
    made = EMPTY[task][lie] if planted else HONEST[task]
    name = f"{task}-{lie.replace(' ', '-')}" if planted else f"{task}-honest"
    bench.model(name, made, "other" if task == "embedding" else task)
    return judged(bench, name)


def _verdicts() -> Iterator[Row]:
    for task, lies in EMPTY.items():
        for lie in lies:
            yield Row("verdict", f"{task}: {lie}", partial(_verdict, task, lie))


# --- findings: less than was asked, by the way in which the build is obtained ---------------------

#: By finding: what makes it in a recipe. The control has the recipe as it is.
LESS: dict[str, dict[str, str]] = {
    "a default level that is lowered": {"level: 0": "level: auto"},
    "fewer pictures than the level works with": {"count: 64": "count: 20"},
    "an NMS by name that cannot be had": {
        "classification}": "classification, nms: {enabled: true}}"
    },
    "a level that is made for more pictures": {"level: 0": "level: 2"},
}
WAYS = ("made", "there", "from the cache", "pulled", "by up")


def _less(lie: str, way: str, bench: Bench, planted: bool) -> str | None:
    name = "less-" + str(list(LESS).index(lie)) if planted else "honest"
    bench.model(name, changes=LESS[lie] if planted else None)
    words = ("up", name, "--strict") if way == "by up" else ("build", name, "--strict")
    if way == "made":
        # Without the switch it is made; with it, what was made is judged as it is.
        said = bench.once(f"{name} made", *words)
    else:
        bench.once(f"{name} there", "build", name)
        said = _obtained(bench, name, way, words)
    return None if said.code == 0 else _error(said)


def _obtained(bench: Bench, name: str, way: str, words: tuple[str, ...]) -> Said:
    if way == "from the cache":
        bench.lose(name)
    if way != "pulled":
        return bench.hef(*words)
    store, other = bench.root / "store", bench.root / f"cache-of-another-{name}"
    bench.once(f"{name} pushed", "cache", "push", name, "--to", str(store))
    bench.lose(name)
    pulled = bench.hef("cache", "pull", name, "--from", str(store), cache=other)
    assert pulled.code == 0, pulled.err
    return bench.hef(*words, cache=other)


def _lesses() -> Iterator[Row]:
    for lie in LESS:
        for way in WAYS:
            yield Row("less than asked", f"{lie}, {way}", partial(_less, lie, way))


# --- damage: a bit of a finished build, by what is done with it -----------------------------------

DAMAGED = (HEF, ONNX, "model.alls", "golden/golden.json", "manifest.json")
USES = ("build", "ship", "report", "bundle")


def _damage(file: str, use: str, bench: Bench, planted: bool) -> str | None:
    bench.model("whole")
    path = bench.folder("whole") / file
    bench.once("whole", "build", "whole")
    sound = path.read_bytes()
    if planted:
        flip(path)
    words = {
        "build": ("build", "whole"),
        "ship": ("ship", "whole", "--device", "embedded"),
        "report": ("report", "whole"),
        "bundle": ("bundle", "whole", "--for", "python"),
    }[use]
    said = bench.hef(*words)
    told = next((x for x in said.err.splitlines() if "damaged" in x or "not as it was" in x), None)
    if path.read_bytes() != sound:
        # It may be told and refused; the next build is the cure.
        assert told is not None or not planted
        bench.hef("build", "whole")
    return told


def _damages() -> Iterator[Row]:
    for file in DAMAGED:
        for use in USES if file == HEF else ("build", "report"):
            yield Row("damage", f"{file}, then {use}", partial(_damage, file, use))


# --- inputs: another content under the same name, size and time -----------------------------------


def _stale(what: str, bench: Bench, planted: bool) -> str | None:
    bench.model("inputs")
    bench.once("inputs", "build", "inputs")
    path = {
        "a calibration picture": bench.root / "pictures/calibration/dark/0.bmp",
        "a validation picture": bench.root / "pictures/validation/dark/0.bmp",
        "the network": bench.root / "models/inputs/net.onnx",
    }[what]
    content = before = path.read_bytes()
    if planted:
        changed = bytearray(before)
        # A weight or a pixel: what it says changes, what it is does not.
        place = before.index(np.float32(8.0).tobytes()) + 2 if what == "the network" else -40
        changed[place] ^= 3
        content = bytes(changed)
    replace_quietly(path, content)
    said = bench.build("inputs")
    assert said.code == 0, said.err
    replace_quietly(path, before)
    bench.build("inputs")
    return ", ".join(sorted(said.ran)) or None


def _stales() -> Iterator[Row]:
    for what in ("a calibration picture", "a validation picture", "the network"):
        yield Row("stale input", f"{what} of the same size and time", partial(_stale, what))


# --- the cache and the store: entries that are not what they say ----------------------------------


def _entry(file: str, bench: Bench, planted: bool) -> str | None:
    bench.model("whole")
    bench.once("whole", "build", "whole")
    cache = bench.root / f"cache-{file.replace('/', '-').replace('*', '')}-{planted}"
    shutil.copytree(bench.cache, cache)
    found = sorted(cache.glob(f"stages/??/*/files/{file}"))
    assert found
    if planted:
        for path in found:
            flip(path)
    bench.lose("whole")
    said = bench.hef("build", "whole", cache=cache)
    assert said.code == 0, said.err
    told = next((line for line in said.err.splitlines() if "damaged" in line), None)
    assert told or not planted, said.err
    return told


def _store(bench: Bench, planted: bool, *, part: str) -> str | None:
    bench.model("whole")
    bench.once("whole", "build", "whole")
    store = bench.root / f"store-{part}-{planted}"
    pushed = bench.hef("cache", "push", "whole", "--to", str(store))
    assert pushed.code == 0, pushed.err
    if planted:
        for path in sorted((store / "v1").rglob("*")):
            is_entry = path.suffix == ".json" or path.parent.parent.name == "entries"
            if path.is_file() and is_entry == (part == "entries"):
                flip(path)
    other = bench.root / f"cache-pulled-{part}-{planted}"
    said = bench.hef("cache", "pull", "whole", "--from", str(store), cache=other)
    return next((x for x in (said.out + said.err).splitlines() if "refused" in x), None)


def _entries() -> Iterator[Row]:
    for file in (ONNX, "har/quantized.har", "golden/*.json", HEF):
        yield Row("cache", f"{file} in the cache", partial(_entry, file))
    yield Row("cache", "files in a store", partial(_store, part="files"))


# --- data: arrays and labels that do not say what the recipe says ---------------------------------

ARRAY = {
    "../../pictures/calibration": "array.npy",
    "color: gray": "color: data, normalize: host",
    "../../pictures/validation": "other.npy",
    "classification": "other",
    ", mean: [0], std: [255]": "",
}


def _array(lie: str, bench: Bench, planted: bool) -> str | None:
    chip = lie.startswith("normalised")
    changes = dict(ARRAY)
    if chip:
        changes = {key: value for key, value in ARRAY.items() if "picture" in key}
    name = f"array-{lie.split(maxsplit=1)[0]}-{planted}"
    folder = bench.model(name, changes=changes)
    random = np.random.default_rng(2)
    pixels = random.integers(0, 256, (80, 16, 16, 1)).astype(np.uint8)
    numbers = random.normal(0, 2, pixels.shape).astype(np.float32)
    array: Any = pixels if chip else numbers
    if planted and lie.startswith("whole"):
        array = pixels
    elif planted and chip:
        array = (pixels / 255).astype(np.float32)
    elif planted and lie.startswith("numbers"):
        array[3, 2, 2, 0] = np.nan
    elif planted and lie.startswith("rows"):
        array = np.transpose(array, (0, 3, 1, 2))
    elif planted:
        array[:] = array[0]
    np.save(folder / "array.npy", array[:64])
    np.save(folder / "other.npy", array[64:])
    said = bench.build(name)
    marks = ("error:", "warning: ")
    told = [line for line in said.err.splitlines() if any(mark in line for mark in marks)]
    known = ("calib.count", "O01", "preprocess.pictures")
    told = [line for line in told if not any(code in line for code in known)]
    return told[0][:90] if told else None


def _arrays() -> Iterator[Row]:
    for lie in (
        "whole numbers that are divided by 255 unasked",
        "normalised twice",
        "numbers that are none",
        "rows of another layout",
        "one picture, many times",
    ):
        yield Row("data", lie, partial(_array, lie))


# --- what the compiler takes ----------------------------------------------------------------------


def _compiler(command: str, bench: Bench, planted: bool) -> str | None:
    name = "refused" if planted else "classification-honest"
    maker = networks.refused if planted else networks.brightness
    folder = bench.model(name, maker, "other" if planted else "classification")
    if command == "build":
        said = bench.build(name)
    elif command == "lint":
        said = bench.hef("lint", name)
    else:
        said = bench.hef("inspect", str(folder / "net.onnx"))
    told = [x for x in (said.out + said.err).splitlines() if "Mod" in x and "Unsupported" in x]
    return told[0].strip()[:90] if told else None


def _cut(command: str, bench: Bench, planted: bool) -> str | None:
    ends = "/none/Conv" if planted else "/gemm_4/Gemm"
    name = f"cut-{planted}"
    bench.model(name, changes={"arch: [": f"parser: {{end_nodes: [{ends}]}}\narch: ["})
    said = bench.hef(command, name)
    return None if said.code == 0 else _error(said)


def _compilers() -> Iterator[Row]:
    for command in ("inspect", "lint", "build"):
        row = partial(_compiler, command)
        yield Row("compiler", f"an operator that no chip has, by {command}", row)
    for command in ("lint", "build"):
        yield Row(
            "compiler", f"an end node that is not there, by {command}", partial(_cut, command)
        )


ROWS: tuple[Row, ...] = (
    *_verdicts(),
    *_lesses(),
    *_damages(),
    *_stales(),
    *_entries(),
    *_arrays(),
    *_compilers(),
    *(Row(*given) for given in (*GIVEN, *detectors.GIVEN, *answers.GIVEN)),
)

"""More rows: lies of labels, of pictures, and of devices that answer wrongly.

A device lies where its answers come in: whatever it did, they are these arrays.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from PIL import Image

from orchestrator.device import validation
from orchestrator.device.session import SshSession
from tests.lies import networks
from tests.lies.bench import ARCH, Bench, Said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Look = Callable[[Bench, bool], "str | None"]
Given = tuple[str, str, Look]

#: What a device said of its run and of itself, by where its answers are kept.
ASKED: dict[Path, tuple[Any, Any]] = {}


def outcome(said: Said) -> str | None:
    """Return what was told instead of "passed", ``None`` for that."""
    found = said.document if said.out.startswith("{") else {}
    found = (found.get("proof") or {}).get("verdict") or found
    word = found.get("outcome") or said.err.strip()
    return None if (word, said.code) == ("passed", 0) else f"{word}, exit {said.code}"[-160:]


def judged(bench: Bench, name: str) -> str | None:
    """Return what a build is told to be where no device is needed to show it, ``None`` for passed.

    What is wrong in the float network, its pictures or its labels shows at every step.
    """
    built = bench.once(name, "build", name)
    if built.code != 0:
        return next((x for x in built.err.splitlines() if "error: " in x), f"exit {built.code}")
    found = bench.once(f"{name} report", "report", name, "--json").document
    return None if found["outcome"] == "passed" else f"{found['outcome']}: {found['headline']}"


# --- devices --------------------------------------------------------------------------------------


def _zeros_for_half(answers: Any) -> Any:
    answers[len(answers) // 2 :] = 0
    return answers


def _late(answers: Any) -> Any:
    return np.roll(answers, 1, axis=0)


def _nan(answers: Any) -> Any:
    answers[3] = np.nan
    return answers


def _infinite(answers: Any) -> Any:
    answers[::4] = np.inf
    return answers


def _swapped(answers: Any) -> Any:
    return answers[..., ::-1].copy()


def _constant(answers: Any) -> Any:
    return np.broadcast_to(answers[:1], answers.shape).copy()


def _constant_with_noise(answers: Any) -> Any:
    random = np.random.default_rng(5)
    noise = random.normal(0, 1e-3, answers.shape) * np.ptp(answers)
    return (_constant(answers) + noise).astype(answers.dtype)


def _noise(answers: Any) -> Any:
    random = np.random.default_rng(6)
    return (answers + random.normal(0, 2 * answers.std(), answers.shape)).astype(answers.dtype)


def _double(answers: Any) -> Any:
    return answers * 2


def _shifted(answers: Any) -> Any:
    return answers + 3 * np.ptp(answers)


def _negated(answers: Any) -> Any:
    return -answers


def _saturated(answers: Any) -> Any:
    return np.clip(answers, None, np.quantile(answers, 0.3))


DEVICES: dict[str, Callable[[Any], Any]] = {
    "zeros for half of the samples": _zeros_for_half,
    "answers come one sample late": _late,
    "a NaN": _nan,
    "infinite answers": _infinite,
    "outputs in another order": _swapped,
    "one answer for all": _constant,
    "one answer with some noise": _constant_with_noise,
    "noise louder than the answer": _noise,
    "scales twice as large": _double,
    "another zero point": _shifted,
    "signs lost": _negated,
    "saturated answers": _saturated,
}
NETWORKS: dict[str, tuple[str, Any]] = {
    "classification": ("classification", networks.brightness),
    "regression": ("other", partial(networks.vector, 1)),
    "embedding": ("other", partial(networks.vector, 16)),
    "segmentation": ("segmentation", partial(networks.maps, 3)),
    "detection": ("detection", partial(networks.maps, 12)),
    "obb": ("obb", partial(networks.maps, 12)),
}
#: What is not planted: of two outputs of a classifier, scale and zero point decide nothing.
LEFT_OUT = {
    ("classification", "another zero point"),
    ("regression", "outputs in another order"),
    ("classification", "saturated answers"),
    ("classification", "scales twice as large"),
}


def lying_device(bench: Bench, name: str, lie: Callable[[Path], None] | None) -> str | None:
    """Validate a build on a device that changes its answers by ``lie``, a file for each output.

    The honest twin alone asks a device; the lies change what it answered, which takes no time.
    """
    words = ("validate", name, "--device", "embedded", "--json")
    kept = bench.root / "answers" / name
    bench.once(name, "build", name)
    if kept not in ASKED:
        with _asked(kept):
            bench.once(f"{name} honest", *words)
    if lie is None:
        return outcome(bench.once(f"{name} honest", *words))
    run, identity = ASKED[kept]

    def run_golden(_runner: Any, _hef: Any, _inputs: Any, outputs: Any, **_options: Any) -> Any:
        for output in outputs:
            shutil.copy(kept / output.file.name, output.file)
            lie(output.file)
        return run

    with (
        mock.patch.object(validation, "run_golden", run_golden),
        mock.patch.object(SshSession, "identify", lambda _, **__: identity),
    ):
        return outcome(bench.hef(*words))


@contextmanager
def _asked(kept: Path) -> Iterator[None]:
    """Keep what a device answers meanwhile, and what it says of itself."""
    run, identify = validation.run_golden, SshSession.identify
    said: list[Any] = []

    def run_golden(runner: Any, hef: Any, inputs: Any, outputs: Any, **options: Any) -> Any:
        said.append(run(runner, hef, inputs, outputs, **options))
        kept.mkdir(parents=True)
        for output in outputs:
            shutil.copy(output.file, kept / output.file.name)
        return said[-1]

    def who(session: Any, **options: Any) -> Any:
        said.append(identify(session, **options))
        return said[-1]

    with (
        mock.patch.object(validation, "run_golden", run_golden),
        mock.patch.object(SshSession, "identify", who),
    ):
        yield
    identity, answered = said
    ASKED[kept] = (answered, identity)


def _device(kind: str, lie: str, bench: Bench, planted: bool) -> str | None:
    task, maker = NETWORKS[kind]
    name = f"device-{kind}"
    bench.model(name, maker, task)

    def change(path: Path) -> None:
        np.save(path, DEVICES[lie](np.load(path)))

    return lying_device(bench, name, change if planted else None)


def _devices() -> Iterator[Given]:
    for kind in NETWORKS:
        for lie in DEVICES:
            if (kind, lie) not in LEFT_OUT:
                yield "device", f"{kind}: {lie}", partial(_device, kind, lie)


# --- labels ---------------------------------------------------------------------------------------

LABELS = {
    "in another order": "[light, dark]",
    "one more than there are": "[dark, light, grey]",
    "one fewer than there are": "[dark]",
    "of another data set": "[cat, dog]",
    "the same name twice": "[dark, dark]",
}


def _labels(lie: str, bench: Bench, planted: bool) -> str | None:
    words = LABELS[lie] if planted else "[dark, light]"
    name = f"labels-{lie.replace(' ', '-')}" if planted else "labels-honest"
    bench.model(name, changes={"task: classification": f"task: classification, labels: {words}"})
    told = judged(bench, name)
    said = bench.once(name, "build", name)
    marks = ("warning: ", "error: ")
    warned = [x for x in said.err.splitlines() if any(m in x for m in marks) and "label" in x]
    return told or (warned[0] if warned else None)


# --- pictures -------------------------------------------------------------------------------------


def _picture(path: Path, shade: int, number: int) -> None:
    random = np.random.default_rng(number)
    pixels = random.integers(shade, shade + 70, (16, 16))
    row, column = random.integers(0, 12, 2)
    pixels[row : row + 4, column : column + 4] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


def _of_one_class(folder: Path) -> None:
    for number in range(16):
        _picture(folder / "dark" / f"{number}.bmp", 10, 900 + number)


def _copies(folder: Path) -> None:
    for name, shade in (("dark", 10), ("light", 160)):
        for number in range(8):
            _picture(folder / name / f"{number}.bmp", shade, 950)


def _renamed_copies(folder: Path) -> None:
    """Copies that differ in a byte, so that no digest is the same."""
    _copies(folder)
    for number, path in enumerate(sorted(folder.glob("*/*.bmp"))):
        content = bytearray(path.read_bytes())
        content[-1 - number] ^= 1
        path.write_bytes(bytes(content))


def _broken(folder: Path) -> None:
    _honest(folder)
    for path in sorted(folder.glob("*/*.bmp"))[::3]:
        path.write_bytes(b"BM no picture")


def _lopsided(folder: Path) -> None:
    for number in range(15):
        _picture(folder / "dark" / f"{number}.bmp", 10, 900 + number)
    _picture(folder / "light" / "0.bmp", 12, 999)


def _honest(folder: Path) -> None:
    for name, shade in (("dark", 10), ("light", 160)):
        for number in range(8):
            _picture(folder / name / f"{number}.bmp", shade, 900 + number + shade)


def _of_calibration(folder: Path) -> None:
    known = folder.parents[1] / "pictures/calibration"
    for path in sorted(known.glob("*/*.bmp"))[::4]:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.parent.name / path.name)


def _labels_by_chance(folder: Path) -> None:
    for number in range(16):
        name = ("dark", "light")[number % 2]
        _picture(folder / name / f"{number}.bmp", (10, 160)[(number // 2) % 2], 930 + number)


PICTURES: dict[str, Callable[[Path], None]] = {
    "all of one class": _of_one_class,
    "copies of two pictures": _copies,
    "copies that differ in one byte": _renamed_copies,
    "a third cannot be read": _broken,
    "nearly all of one class": _lopsided,
    "those of calibration": _of_calibration,
    "labels by chance": _labels_by_chance,
}


def _pictures(lie: str, bench: Bench, planted: bool) -> str | None:
    name = f"pictures-{lie.replace(' ', '-')}" if planted else "pictures-honest"
    folder = bench.root / "held-out" / name
    if not folder.exists():
        (PICTURES[lie] if planted else _honest)(folder)
    bench.model(name, changes={"../../pictures/validation": f"../../held-out/{name}"})
    told = judged(bench, name)
    said = bench.once(name, "build", name)
    warned = [x for x in said.err.splitlines() if "warning: " in x or "error: " in x]
    return told or (warned[0] if warned else None)


# --- what is left of earlier builds ---------------------------------------------------------------


def _another_chip(bench: Bench, planted: bool) -> str | None:
    bench.model("whole")
    bench.once("whole", "build", "whole")
    bench.once("whole for another chip", "build", "whole", "--arch", "hailo10h")
    path = bench.folder("whole") / f"model.{ARCH}.emulated.hef"
    sound = path.read_bytes()
    if planted:
        path.write_bytes((path.parents[1] / "hailo10h/model.hailo10h.emulated.hef").read_bytes())
    said = bench.hef("ship", "whole", "--device", "embedded", "--arch", ARCH)
    path.write_bytes(sound)
    told = [x for x in said.err.splitlines() if "damaged" in x or "not as it was" in x]
    return told[0] if told else None


def _stale_verdict(bench: Bench, planted: bool) -> str | None:
    """A verdict on the weights before these may not stand for them."""
    name = f"stale-{planted}"
    folder = bench.model(name)
    first = bench.hef("up", name, "--json")
    assert outcome(first) is None, first.err
    if planted:
        model = networks.brightness(swapped=True)
        (folder / "net.onnx").write_bytes(model.SerializeToString())
    assert bench.build(name).code == 0
    found = bench.hef("report", name, "--json").document
    passed = (found["outcome"], found["final"]) == ("passed", "device")
    return None if passed else f"{found['outcome']} at {found['final']}"


def _edited_verdict(use: str, bench: Bench, planted: bool) -> str | None:
    name = f"edited-{use}-{planted}"
    bench.model(name, partial(networks.brightness, swapped=planted))
    bench.hef("up", name, "--json")
    path = bench.folder(name) / "verdict.json"
    text = path.read_text(encoding="utf-8")
    for wrong, right in (('"failed"', '"passed"'), ('"passed": false', '"passed": true')):
        text = text.replace(wrong, right)
    path.write_text(text, encoding="utf-8")
    said = bench.hef(use, name, "--json")
    if said.out and use == "report":
        found = said.document["outcome"]
        return None if found == "passed" else str(found)
    return outcome(said)


def _floats_of_0_to_1(bench: Bench, planted: bool) -> str | None:
    """Honest with ``normalize: host``; with ``chip`` they are divided twice."""
    changes = {
        "../../pictures/calibration": "array.npy",
        "../../pictures/validation": "other.npy",
        "task: classification": "task: other",
    }
    if not planted:
        changes["std: [255]"] = "std: [255], normalize: host"
    name = f"unit-{planted}"
    folder = bench.model(name, changes=changes)
    random = np.random.default_rng(8)
    values = random.random((80, 16, 16, 1)).astype(np.float32)
    values[0, 0, 0], values[0, 0, 1] = 0, 1
    np.save(folder / "array.npy", values[:64])
    np.save(folder / "other.npy", values[64:])
    said = bench.build(name)
    told = [x for x in said.err.splitlines() if "warning: " in x or "error: " in x]
    return told[0] if told else None


GIVEN: tuple[Given, ...] = (
    *_devices(),
    *(("labels", f"labels {lie}", partial(_labels, lie)) for lie in LABELS),
    *(("pictures", f"held-out pictures: {lie}", partial(_pictures, lie)) for lie in PICTURES),
    ("damage", "a HEF of another chip, then ship", _another_chip),
    ("damage", "a verdict of the weights before, then report", _stale_verdict),
    *(
        ("damage", f"a verdict that was edited, then {use}", partial(_edited_verdict, use))
        for use in ("report", "up")
    ),
    ("data", "floats of 0..1 that the chip divides again", _floats_of_0_to_1),
)

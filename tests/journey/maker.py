"""The maker's own hour: class folders, a checkpoint, ``train.py``; in the end a program on a Pi."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.integration.main_job.first_hour import CLASSES, MODEL, photographs
from tests.journey.walk import Walker, pi_environment, proposed

#: Reads its data and trains when it is imported, as many do: it cannot be a recipe's source.
TRAINING = (
    "from pathlib import Path\n\nimport numpy as np\nimport torch\nfrom PIL import Image\n"
    + MODEL
    + """

MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]
CLASSES = sorted(path.name for path in Path("photos/train").iterdir())


def load(path):
    picture = Image.open(path).convert("RGB").resize((48, 48), Image.Resampling.BILINEAR)
    return (np.asarray(picture) / 255 - MEAN) / STD


torch.manual_seed(1)
rows = [
    (load(path), number)
    for number, name in enumerate(CLASSES)
    for path in sorted(Path("photos/train", name).iterdir())
]
inputs = torch.tensor(np.stack([row for row, _ in rows]), dtype=torch.float32).permute(0, 3, 1, 2)
labels = torch.tensor([number for _, number in rows])
model = WasteNet(classes=len(CLASSES))
optimiser = torch.optim.Adam(model.parameters(), 4e-3)
for epoch in range(14):
    for batch in torch.randperm(len(inputs)).split(24):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
        optimiser.step()
torch.save(model.state_dict(), "waste.pt")
"""
)


class Cost(NamedTuple):
    """What a journey takes of a person; minutes are those in which programs run."""

    minutes: float
    commands: int
    edits: int


@dataclass(frozen=True)
class Hour:
    """What the journey showed: costs, and whether the end is right."""

    walker: Walker
    verdict: str
    device_top1: float
    #: Part of the held-out photographs that the bundle's own program got right, on the device.
    bundle_top1: float
    wrong: tuple[str, ...]

    @property
    def cost(self) -> Cost:
        """Return what it took."""
        return Cost(self.walker.minutes, len(self.walker.steps), self.walker.edits)


def set_out(root: Path, *, train: int = 30) -> Walker:
    """Make the clean home and the maker's folder; the training is run, and is not counted."""
    home, folder = root / "home", root / "waste"
    home.mkdir()
    folder.mkdir()
    photographs(folder / "photos", train=train, val=10)
    (folder / "train.py").write_text(TRAINING, encoding="utf-8")
    walker = Walker(home, folder)
    trained = walker.type("python train.py")
    if trained.code:
        raise RuntimeError(trained.err)
    walker.steps.clear()
    return walker


def walk(root: Path, *, engine: str = "local") -> Hour:
    """Walk from the folder to the program on the device; each command is one that was proposed."""
    walker = set_out(root)
    wrong: list[str] = []
    before = _texts(walker.folder)
    init = walker.type("hef init --yes", HEFSMITH_ENGINE=engine)
    wrong += _failed(init.code, init.err, "hef init")
    (up, *_) = proposed(init.err) or ["hef up"]
    built = walker.type(up, HEFSMITH_ENGINE=engine)
    wrong += _failed(built.code, built.err, up)
    verdict = next((x for x in built.out.splitlines() if x.startswith("verdict")), "no verdict")
    if "passed: the model works on the device" not in verdict:
        wrong.append(verdict)
    if not proposed(built.out):
        wrong.append("after passed no next step is named")
    start = walker.type("hef")
    bundle = next((x for x in proposed(start.out) if x.startswith("hef bundle")), "")
    if not bundle:
        wrong.append("hef alone does not name the bundle")
    made = walker.type(bundle or "hef bundle waste")
    wrong += _failed(made.code, made.err, bundle)
    place = walker.folder / made.out.strip()
    # As a person copies it to the Pi: away from the project.
    on_pi = root / "pi"
    shutil.copytree(place, on_pi)
    readme = (place / "README.md").read_text(encoding="utf-8")
    program = next(iter(re.findall(r"^    (python3 run\.py) ", readme, re.MULTILINE)), "none")
    pictures = sorted((walker.folder / "photos" / "val").rglob("*.jpg"))
    names = " ".join(str(path) for path in pictures)
    ran = walker.type(f"{program} {names} --json", in_folder=on_pi, **pi_environment())
    wrong += _failed(ran.code, ran.err, program)
    answers = [json.loads(line) for line in ran.out.splitlines() if line.startswith("{")]
    right = [one["classes"][0][0] == Path(one["picture"]).parent.name for one in answers]
    bundle_top1 = sum(right) / len(pictures)
    device_top1 = _top1(built.out)
    if abs(bundle_top1 - device_top1) > 0.02:
        wrong.append(
            f"the verdict says {device_top1:.1%}, and the bundle is right on {bundle_top1:.1%}"
        )
    walker.edits += sum(_texts(walker.folder)[name] != text for name, text in before.items())
    missing = [name for name in CLASSES if name not in _recipe(walker.folder)]
    wrong += [f"labels are missing in the recipe: {missing}"] if missing else []
    return Hour(walker, verdict, device_top1, bundle_top1, tuple(wrong))


def _failed(code: int, said: str, command: str) -> list[str]:
    if code == 0 and "Traceback" not in said:
        return []
    return [f"{command} ended with {code}: {said.strip().splitlines()[-1:]}"]


def _top1(screen: str) -> float:
    found = re.search(r"^device +([0-9.]+)%", screen, re.MULTILINE)
    return float(found[1]) / 100 if found else 0.0


def _recipe(folder: Path) -> str:
    return "\n".join(x.read_text(encoding="utf-8") for x in folder.glob("models/*/model.yaml"))


def _texts(folder: Path) -> dict[str, str]:
    """Return the maker's own files: what had to be changed in them is an edit."""
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}

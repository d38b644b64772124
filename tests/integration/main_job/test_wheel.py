"""The built wheel alone, as ``pip install hefsmith`` brings it: no extras, no checkout, one walk.

What the base installation lacks runs in the container. Where there is no engine, one command is
named that adds the one extra, word for word for an installation from this file.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from .first_hour import MODEL, WAYS, photographs, trained

torch = pytest.importorskip("torch")

pytestmark = [
    # It fetches the dependencies of the wheel.
    pytest.mark.engine,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

#: Megabytes of the environment, without pip and setuptools, which are not ours. numpy alone has
#: 73 of them: the verdict, the metrics and the report are computed with it.
LARGEST = 170
#: Of its parts, so that what makes it grow is seen: what of the base has more than 8 MB.
LARGE = {"numpy", "numpy.libs", "cryptography", "orchestrator", "pygments"}


#: What a training script says and does: it cannot be imported.
TRAINING = """
from torchvision import transforms

prepared = transforms.Compose([
    transforms.Resize((48, 48)), transforms.ToTensor(),
    transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
])
open("data.csv").read()
"""


@dataclass(frozen=True)
class Installed:
    """An environment that has nothing but the wheel and what it depends on."""

    folder: Path
    wheel: Path

    @property
    def site(self) -> Path:
        """Where packages lie."""
        return next((self.folder / "lib").glob("python*/site-packages"))

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def hef(self, line: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command line as a new user does: a home of its own, nothing of this checkout."""
        ours = ("HEFSMITH_CACHE", "HEFSMITH_DATA", "HEFSMITH_ENGINE", "PYTHON")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            [str(self.folder / "bin" / "hef"), *shlex.split(line)],
            cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            env={**kept, "HOME": str(home), "HEFSMITH_LANG": "en", **environ},
        )  # fmt: skip
        assert "Traceback" not in done.stderr, (line, done.stderr)
        return done


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    place = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", place, repository], check=True)
    (wheel,) = place.glob("hefsmith-*.whl")
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    found = Installed(place / "venv", wheel)
    pip[0] = str(found.python)
    subprocess.run([*pip, "install", "--prefer-binary", str(wheel)], check=True)
    return found


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with photographs and one network each, in two ways of saving."""
    root = tmp_path_factory.mktemp("maker")
    photos = photographs(root / "photos", train=12, val=6)
    network = trained(photos, WAYS[0], epochs=6)
    for kind in ("weights", "onnx"):
        shutil.copytree(photos, root / kind / "photos")
    torch.save(network.state_dict(), root / "weights" / "waste.pt")
    (root / "weights" / "train.py").write_text(MODEL + TRAINING)
    zeros = (torch.zeros(1, 3, 48, 48),)
    torch.onnx.export(network, zeros, str(root / "onnx" / "waste.onnx"), dynamo=False)
    return root


def test_what_is_installed(installed: Installed) -> None:
    from orchestrator.installation import EXTRA_OF

    with zipfile.ZipFile(installed.wheel) as archive:
        roots = {Path(name).parts[0] for name in archive.namelist()}
    assert {one for one in roots if not one.endswith(".dist-info")} == {
        "hefsmith_worker", "orchestrator",
    }  # fmt: skip
    names = {path.name for path in installed.site.iterdir()}
    assert not names & set(EXTRA_OF), "an extra's package came along"
    sizes = {}
    for path in installed.site.iterdir():
        if path.name not in ("pip", "setuptools", "pkg_resources", "_distutils_hack"):
            files = [path] if path.is_file() else [x for x in path.rglob("*") if x.is_file()]
            sizes[path.name] = sum(x.stat().st_size for x in files) / 1e6
    assert {name for name, size in sizes.items() if size > 8} <= LARGE, sizes
    assert sum(sizes.values()) < LARGEST, sizes


def named_extra(hint: str, installed: Installed) -> list[str]:
    """Return the command that a message names, as a shell would split it."""
    lines = [line.removeprefix("hint:").strip() for line in hint.splitlines()]
    found = [shlex.split(line) for line in lines if " pip install " in line]
    assert len(found) == 1, hint
    assert Path(found[0][0]).samefile(installed.python), hint
    return found[0]


def test_without_an_engine_the_one_extra_is_named(installed: Installed, maker: Path) -> None:
    """No engine, no extras: what can be done is done, and what cannot names one command."""
    none = {"DOCKER_HOST": "unix:///nonexistent", "PATH": "/usr/bin:/bin"}
    here = maker / "bare"
    here.mkdir()
    for line, code in (("", 0), ("--help", 0), ("device list", 0), ("init", 2), ("up", 2)):
        done = installed.hef(line, here, **none)
        assert done.returncode == code, (line, done.stderr)
    assert "hef up digits" in installed.hef("", here, **none).stdout
    done = installed.hef("doctor", here, **none)
    assert "no Docker engine answers" in done.stdout
    assert "emulator" in named_extra(done.stdout.replace("fix: ", ""), installed)[-1]
    # The demo's pictures need no extra; what builds it does.
    done = installed.hef("up digits", here, **none)
    assert done.returncode == 3
    assert (here / "calib" / "digits" / "validation").is_dir()
    assert "[emulator] @ file://" in named_extra(done.stderr, installed)[-1]
    for kind, source in (("weights", "waste.pt"), ("onnx", "waste.onnx")):
        folder = shutil.copytree(maker / kind, maker / f"{kind}-bare")
        done = installed.hef("init --yes", folder, **none)
        assert done.returncode == 0, done.stderr
        assert "the network was not run: no Docker engine answers" in done.stderr
        assert "next: hef up waste" in done.stderr
        assert installed.hef(f"inspect {source}", folder, **none).returncode == 0
        done = installed.hef("up waste", folder, **none)
        assert done.returncode != 0
        assert "--engine local, after" in done.stderr
        assert "[emulator]" in named_extra(done.stderr, installed)[-1]
        done = installed.hef("up waste --engine local", folder, **none)
        words = named_extra(done.stderr, installed)
        assert words[-1].startswith("hefsmith[emulator] @ file://")
        done = installed.hef("calib preview waste", folder, **none)
        assert "[emulator]" in named_extra(done.stderr, installed)[-1]
    # Word for word: pip finds the file and knows the extra (it would fetch it now).
    done = subprocess.run(
        [*words, "--dry-run", "--no-deps", "--no-build-isolation"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "does not provide the extra" not in done.stderr


def left_containers() -> list[str]:
    """Return the device's containers whose command has ended; other tests may have some too."""
    listed = subprocess.run(
        ["docker", "ps", "--all", "--filter", "name=hefsmith-program-",
         "--format", '{{.Names}} {{.Label "org.hefsmith.process"}}'],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows = [row.partition(" ") for row in listed.splitlines()]
    ended = [(name, owner.partition("-")[0]) for name, _, owner in rows if owner]
    return [name for name, process in ended if not Path("/proc", process).exists()]


@pytest.mark.parametrize("kind", ["weights", "onnx"])
def test_with_docker_nothing_more_is_needed(kind: str, installed: Installed, maker: Path) -> None:
    folder = shutil.copytree(maker / kind, maker / f"{kind}-docker")
    done = installed.hef("init --yes", folder)
    assert done.returncode == 0, done.stderr
    assert "was not run" not in done.stderr
    assert "labelled pictures are right" in done.stderr
    done = installed.hef("up", folder)
    # Whether so short a training passes is its own matter.
    assert done.returncode in (0, 5), done.stderr
    assert "verdict  " in done.stdout
    assert "device   embedded: release" in done.stdout
    built = "artifacts/waste/hailo8l"
    assert (folder / built / "model.hailo8l.emulated.hef").is_file()
    # The rest is the same, however the network was saved.
    if kind == "onnx":
        for line in ("report waste", "bundle waste", "validate waste", "ship waste"):
            done = installed.hef(line, folder)
            assert done.returncode in (0, 5), (line, done.stderr)
        assert (folder / built / "report.html").is_file()
        done = installed.hef(f"inspect {built}", folder)
        assert done.returncode == 0, done.stderr
        assert "predicted FPS" not in done.stdout
        assert "hef bundle waste" in installed.hef("", folder).stdout
    assert left_containers() == [], "a container of the device is left"

"""Makes what a user downloads: a zip with a suite image, under the vendor's names.

``hailo8_ai_sw_suite_2025-10_docker.zip`` holds ``hailo8_ai_sw_suite_2025-10.tar.gz`` (an image
archive) and the run script. The image is the emulator in the vendor's clothes
(``fake.Dockerfile``); the program under test is told nothing of it.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import zipfile
from pathlib import Path

from tests.integration.suite import little_zoo

HERE = Path(__file__).resolve().parent
STEM = "hailo8_ai_sw_suite_2025-10"
TAG = f"{STEM}:1"
LABEL = "org.hefsmith.test=suite"
SCRIPT = "#!/bin/bash\necho the vendor starts its container here, with a terminal >&2\nexit 1\n"


def docker(*words: str, timeout: float = 600) -> str:
    """Run a docker command that must work, and return what it printed."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"docker {' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def build_image(emulator: str, folder: Path) -> str:
    """Build the stand-in on the emulator image ``emulator``; return its id."""
    context = folder / "context"
    context.mkdir(parents=True)
    for name in ("place.sh", "site.py"):
        shutil.copy(HERE / name, context / name)
    shutil.copy(HERE / "fake.Dockerfile", context / "Dockerfile")
    little_zoo.write(context / "cfg")
    docker(
        "build",
        "-q",
        "--label",
        LABEL,
        "--build-arg",
        f"EMULATOR={emulator}",
        "-t",
        TAG,
        str(context),
    )
    return docker("image", "inspect", "-f", "{{.Id}}", TAG)


def pack(folder: Path, reference: str = TAG) -> Path:
    """Save an image as the vendor's zip in ``folder``, and return the zip."""
    inner = folder / f"{STEM}.tar.gz"
    with (
        subprocess.Popen(["docker", "save", reference], stdout=subprocess.PIPE) as saving,
        # Level 0: a gzip file like any other, made in seconds.
        gzip.open(inner, "wb", compresslevel=0) as packed,
    ):
        assert saving.stdout is not None
        shutil.copyfileobj(saving.stdout, packed, 1 << 20)
    assert saving.returncode == 0
    outer = folder / f"{STEM}_docker.zip"
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_STORED) as archive:
        archive.write(inner, inner.name)
        archive.writestr("hailo_ai_sw_suite_docker_run.sh", SCRIPT)
    inner.unlink()
    return outer


def forget() -> None:
    """Remove the image under its name, so that only the zip has it."""
    subprocess.run(["docker", "rmi", "-f", TAG], capture_output=True, timeout=120)

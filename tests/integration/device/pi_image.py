"""Make the stand-in Pi's image from this machine's own apt sources, for either architecture.

``mmdebstrap --variant=extract`` only unpacks: no maintainer script runs, so that arm64 takes
seconds under qemu instead of minutes. The tar is kept in ``.ci/cache`` between runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[3]
CACHE = Path(os.environ.get("HEFSMITH_CI_CACHE", REPOSITORY / ".ci" / "cache"))
DOCKER = os.environ.get("DOCKER", "docker")
SUITE = "bookworm"

PACKAGES = (
    "base-files base-passwd bash coreutils dash debianutils diffutils findutils grep gzip hostname"
    " iproute2 libc-bin login ncurses-base openssh-client openssh-server openssh-sftp-server"
    " passwd procps python3 rsync sed sudo tar util-linux libstdc++6"
)
CONTEXT = (
    "docker/pi",
    "docker/emulator/bin",
    "docker/emulator/packages",
    "docker/worker/hefsmith_worker",
    "orchestrator/__init__.py",
    "orchestrator/errors.py",
    "orchestrator/hef",
)
WHEEL_TAGS = {
    "amd64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64"),
    "arm64": ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64"),
}


def run(*words: str | Path, timeout: float = 600, text: str | None = None) -> str:
    """Run a command that must work, and return what it printed."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=timeout, input=text
    )
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}")
    return done.stdout.strip()


def pi_image(arch: str = "amd64") -> str:
    """Return the tag of the stand-in Pi's image, built now if need be.

    Several processes of one test run ask for it; only one of them lays out and builds.
    """
    with _alone(f"pi-{arch}"):
        return _made(arch)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Wait until no other process does what ``name`` stands for."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _made(arch: str) -> str:
    base = base_image(arch)
    context = CACHE / f"pi-context-{arch}"
    shutil.rmtree(context, ignore_errors=True)
    _lay_out(context)
    wheels = _wheels(arch)
    digest = hashlib.sha256(base.encode())
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(context)).encode() + path.read_bytes())
    tag = f"hefsmith-test-pi-{arch}:{digest.hexdigest()[:16]}"
    if not _exists(tag):
        for wheel in wheels:
            shutil.copy(wheel, context / "docker/pi/wheels")
        _build(context, tag, arch, ("--build-arg", f"BASE={base}", "-f", "docker/pi/Dockerfile"))
        _remove_others(tag)
    shutil.rmtree(context, ignore_errors=True)
    return tag


def _remove_others(tag: str) -> None:
    """Remove the images of earlier states of the code; those in use stay."""
    repository = tag.partition(":")[0]
    for other in run(DOCKER, "images", "--format", "{{.Repository}}:{{.Tag}}", repository).split():
        if other != tag:
            subprocess.run([DOCKER, "rmi", other], capture_output=True)


def base_image(arch: str) -> str:
    """Return the tag of a Debian with sshd and Python and nothing else."""
    mark = hashlib.sha256(f"{PACKAGES} {SUITE} 2".encode()).hexdigest()[:12]
    tag = f"hefsmith-test-pi-base-{arch}:{mark}"
    if _exists(tag):
        return tag
    archive = CACHE / f"pi-base-{arch}-{mark}.tar"
    if not archive.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        draft = archive.with_suffix(".part.tar")
        run(
            "mmdebstrap", "--variant=extract", f"--architectures={arch}",
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
            f"--include={','.join(PACKAGES.split())}",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            SUITE, draft, *_sources(),
        )  # fmt: skip
        draft.rename(archive)
    context = CACHE / f"pi-base-context-{arch}"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir()
    os.link(archive, context / "root.tar")
    (context / "Dockerfile").write_text(
        "FROM scratch\nADD root.tar /\n"
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        "LABEL org.hefsmith.image=pi-base\n"
    )
    _build(context, tag, arch, ())
    shutil.rmtree(context)
    return tag


def _build(context: Path, tag: str, arch: str, extra: tuple[str, ...]) -> None:
    # The classic builder labels the image with the platform that it is told.
    words = [DOCKER, "build", "--platform", f"linux/{arch}", "-t", tag, *extra, "."]
    done = subprocess.run(
        words, cwd=context, env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}\n{done.stdout}\n{done.stderr}")


def _lay_out(context: Path) -> None:
    left = shutil.ignore_patterns("__pycache__", "*.pyc", "*.whl")
    for name in CONTEXT:
        source, target = REPOSITORY / name, context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=left)
        else:
            shutil.copy(source, target)
    (context / "docker/pi/wheels").mkdir(exist_ok=True)


def _wheels(arch: str) -> list[Path]:
    """Return the wheels for the stand-ins, fetched once through pip's ordinary client."""
    requirements = REPOSITORY / "docker/pi/requirements.txt"
    mark = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = CACHE / f"pi-wheels-{arch}-{mark}"
    if not folder.is_dir():
        draft = folder.with_name(folder.name + ".part")
        shutil.rmtree(draft, ignore_errors=True)
        platforms = [f"--platform={tag}" for tag in WHEEL_TAGS[arch]]
        run(
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
            "--only-binary=:all:", *platforms, "--python-version=3.11", "--implementation=cp",
            "--abi=cp311", "--abi=abi3", "--dest", draft, "-r", requirements,
        )  # fmt: skip
        draft.rename(folder)
    return sorted(folder.glob("*.whl"))


def _sources() -> list[str]:
    """Return this machine's apt sources for the suite as one-line entries."""
    lines = run(
        "apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
    ).splitlines()  # fmt: skip
    wanted = [line for line in lines if f" {SUITE} main" in line]
    return sorted(set(wanted))[:1]


def _exists(tag: str) -> bool:
    return subprocess.run([DOCKER, "image", "inspect", tag], capture_output=True).returncode == 0

"""Stand-in Pis in containers and in network namespaces; everything made here is removed."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.device.connection_pool import ConnectionPool
from orchestrator.paths import image_context

from .pi import Pi
from .pi_image import DOCKER, pi_image, run

# HEFs for bundles are made by the emulator's own code.
sys.path.append(str(image_context("emulator") / "packages"))

LABEL = "org.hefsmith.test=device"


@pytest.fixture(scope="session")
def image() -> str:
    return pi_image("amd64")


@pytest.fixture(scope="session", autouse=True)
def leave_nothing() -> Iterator[None]:
    yield
    left = run(DOCKER, "ps", "-aq", "--filter", f"label={LABEL}-{os.getpid()}")
    if left:
        run(DOCKER, "rm", "-f", *left.split())


@pytest.fixture(scope="session")
def login_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "id_ed25519"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
    return path


@pytest.fixture
def pool() -> Iterator[ConnectionPool]:
    with ConnectionPool() as opened:
        yield opened


@pytest.fixture
def start_pi(image: str, login_key: Path, tmp_path: Path) -> Iterator[type[Pi] | object]:
    """Start Pis: ``start_pi(env={...}, options=(...))``; trusted from the start."""
    started: list[Pi] = []

    def start(
        env: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
        *,
        trusted: bool = True,
        name: str = "pi",
    ) -> Pi:
        pi = Pi.start(
            image, login_key, env=env or {}, name=name,
            options=("--label", f"{LABEL}-{os.getpid()}", *options),
        )  # fmt: skip
        started.append(pi)
        if trusted:
            pi.trust()
        return pi

    yield start
    for pi in started:
        pi.remove()


@pytest.fixture
def pi(start_pi: object) -> Pi:
    """One Pi that is up and trusted."""
    return start_pi()  # type: ignore[operator,no-any-return]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[object]:
    """Start our own code as a process of its own, to be killed; ended at the end."""
    processes: list[subprocess.Popen[str]] = []

    def start(*words: str | Path, **more: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, **more,  # type: ignore[call-overload]
        )  # fmt: skip
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def unique() -> str:
    return uuid.uuid4().hex[:8]

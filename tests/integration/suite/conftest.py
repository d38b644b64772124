"""The suite as a user downloads it, made once for all tests that drive it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.suite import fake_suite


@pytest.fixture(scope="session")
def suite_zip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The zip with the stand-in suite; the image itself is gone from the engine again."""
    from orchestrator.engine.choose import choose_engine

    engine = choose_engine("docker").engine
    emulator = engine.ensure_image("emulator")
    engine.close()
    folder = tmp_path_factory.mktemp("suite")
    fake_suite.build_image(emulator.tags[0], folder)
    packed = fake_suite.pack(folder)
    fake_suite.forget()
    yield packed
    fake_suite.forget()
    packed.unlink()

"""Packages of a network with the local engine: this Python has them, or says which it lacks."""

from __future__ import annotations

import pytest

from orchestrator.engine.base import EngineUnavailableError
from orchestrator.engine.local import LocalEngine
from orchestrator.engine.packages import missing


def test_what_is_installed_is_not_missing() -> None:
    assert missing(("numpy", "pydantic>=2", "PyYAML")) == ()


def test_what_is_absent_or_too_old_is_named() -> None:
    assert missing(("hefsmith-no-such-package==1.0",)) == ("hefsmith-no-such-package==1.0",)
    (unmet,) = missing(("numpy>=999",))
    assert unmet.startswith("numpy>=999 (installed: ")


def test_the_local_engine_says_what_to_install() -> None:
    with pytest.raises(EngineUnavailableError) as caught:
        LocalEngine().add_packages("local", ("hefsmith-no-such-package>=2",), python="python")
    assert 'pip install "hefsmith-no-such-package>=2"' in (caught.value.hint or "")

"""The makers of HEF files and releases of the unit tests."""

from __future__ import annotations

import importlib.util
import sys

from .pi_image import REPOSITORY

_NAME = "hefsmith_test_making"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        _NAME, REPOSITORY / "tests/unit/device/making.py"
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])

make_hef = sys.modules[_NAME].make_hef
make_release = sys.modules[_NAME].make_release

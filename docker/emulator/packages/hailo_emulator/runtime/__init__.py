"""The emulated runtime: what ``hailo_platform`` and ``hailortcli`` stand-ins do.

The vendor's import names are in the package ``hailo_platform`` beside this one; it re-exports
from here. Facts about the real one: HailoRT 4.19 to 5.2 sources.
"""

from __future__ import annotations

"""Libraries that Docker's SDK imports for the few engines that need them.

Its module for SSH imports paramiko at once, which (with cryptography, invoke and asyncio behind
it) takes longer than all the rest of the SDK. Here such a library is in place by name, and is
loaded when somebody uses it. ``importlib.util.LazyLoader`` cannot do that: the second ``import``
of the same name looks at the module and so loads it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


class Waiting(ModuleType):
    """Stands in for a module until one of its attributes is asked for."""

    def __getattr__(self, name: str) -> object:
        """Load the module, if that is not done, and return its attribute."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def defer(name: str) -> None:
    """Let ``import name`` cost nothing until an attribute of the module is asked for.

    A library that is loaded already, or is not installed, is left as it is.
    """
    if name in sys.modules or find_spec(name) is None:
        return
    sys.modules[name] = Waiting(name)


def loaded(name: str) -> ModuleType | None:
    """Return a module if it is loaded, ``None`` for one that only waits."""
    module = sys.modules.get(name)
    return None if isinstance(module, Waiting) else module

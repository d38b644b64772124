"""Emulated: the vendor's newer inference on PyTorch, for programs that import it at the top.

Nothing here computes: ``ClientRunner.infer`` does. Names: the Model Zoo, v2.18.
"""

from __future__ import annotations

from typing import Any, NoReturn


def not_emulated(*args: Any, **kwargs: Any) -> NoReturn:
    """Refuse: evaluation by PyTorch is not emulated."""
    msg = "inference on PyTorch is not emulated; use ClientRunner.infer"
    raise NotImplementedError(msg)

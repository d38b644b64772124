"""torchvision beside a PyTorch that its binary part does not fit.

Its wheels are linked to one build of PyTorch. Beside another (a CPU build, mostly) the import
fails with "operator torchvision::nms does not exist", although a network needs nothing but
torchvision's Python code. With the operators declared, and no more, the import goes through;
an export that really uses one still fails, with PyTorch's own message.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Callable, Dict, Set, TypeVar

T = TypeVar("T")

#: What the import of a torchvision that does not fit says, one operator at a time.
SYMPTOM = re.compile(r"operator torchvision::(\w+) does not exist")

#: Packages that are left half imported by it, and must be imported anew.
STANDING_ON_IT = ("torchvision", "timm", "ultralytics", "segmentation_models_pytorch", "effdet")

#: Operators that its code refers to while it is imported; a newer one that is not here is told
#: by the import and declared when it is.
KNOWN = (
    "nms",
    "qnms",
    "roi_align",
    "_roi_align_backward",
    "roi_pool",
    "_roi_pool_backward",
    "ps_roi_align",
    "_ps_roi_align_backward",
    "ps_roi_pool",
    "_ps_roi_pool_backward",
    "deform_conv2d",
    "_deform_conv2d_backward",
)

#: Declarations by operator; they end with the object that made them.
_declared: Dict[str, Any] = {}


def retrying(action: Callable[[], T]) -> T:
    """Run what imports a user's code; again with what is said to be absent declared."""
    while True:
        try:
            return action()
        except Exception as error:
            operator = _absent_operator(error)
            if operator is None or operator in _declared:
                raise
        _declare({operator} if _declared else {operator, *KNOWN})


def _absent_operator(error: BaseException) -> Any:
    seen: Any = error
    while seen is not None:
        found = SYMPTOM.search(str(seen))
        if found:
            return found.group(1)
        seen = seen.__cause__ or seen.__context__
    return None


def _declare(operators: Set[str]) -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in operators:
        # Nothing is ever computed with it, so the arguments do not matter.
        library.define("%s(Tensor any) -> Tensor" % operator)
        _declared[operator] = library
    for name in list(sys.modules):
        if name.partition(".")[0] in STANDING_ON_IT:
            del sys.modules[name]

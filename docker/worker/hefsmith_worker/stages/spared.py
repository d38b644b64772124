"""Weights that are spared, since the user's own replace them.

Many constructors fetch what a network was trained with before (``resnet18(pretrained=True)``), or
read it from a file that only its owner had, also where weights are loaded afterwards; the export
has no network, and would throw them away. So what is fetched is empty, and loading it does nothing.
That is right only where all tensors of the network come from a file of weights, which the export
sees to.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Tuple


class Fetched(Dict[str, Any]):
    """Stands for weights from the network: it has nothing, and misses nothing."""

    def __missing__(self, key: str) -> Any:
        return Fetched()

    def __delitem__(self, key: str) -> None:
        self.pop(key, None)

    def pop(self, key: str, *_: Any) -> Any:
        """Take away what is not there."""
        return super().pop(key, None)


#: What loads weights into a network of timm, in its releases.
_OF_TIMM = (("timm.models._builder", "load_pretrained"), ("timm.models.helpers", "load_pretrained"))


def _reading(load: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``load`` for files that are there; of others nothing is read."""

    def read(file: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, (str, os.PathLike)) and not os.path.exists(file):
            return Fetched()
        return load(file, *args, **kwargs)

    return read


@contextmanager
def downloads(spare: bool) -> Iterator[Callable[[], None]]:
    """Within this block weights that PyTorch would fetch, or that are not there, are empty.

    Yields what is to be called once the code is imported that makes the network.
    """
    import torch
    from torch.utils import model_zoo

    if not spare:
        yield lambda: None
        return
    before: List[Tuple[Any, str, Any]] = []
    load_state_dict = torch.nn.Module.load_state_dict
    fetched = torch.hub.load_state_dict_from_url

    def put(place: Any, name: str, value: Any) -> None:
        before.append((place, name, getattr(place, name)))
        setattr(place, name, value)

    def load(module: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
        if not state:
            # Empty as it was fetched, or what a filter left of it.
            return torch.nn.modules.module._IncompatibleKeys([], [])  # noqa: SLF001
        return load_state_dict(module, state, *args, **kwargs)

    def fetch(*_: Any, **__: Any) -> Any:
        return Fetched()

    def imported() -> None:
        for module, name in _OF_TIMM:
            if hasattr(sys.modules.get(module), name):
                put(sys.modules[module], name, lambda *_, **__: None)

    put(torch.nn.Module, "load_state_dict", load)
    put(torch, "load", _reading(torch.load))
    put(torch.hub, "load_state_dict_from_url", fetch)
    put(model_zoo, "load_url", fetch)
    for name, module in list(sys.modules.items()):
        # Whoever was imported before has it under a name of its own.
        if name.startswith(("torchvision.", "timm.")):
            for key in [key for key, value in vars(module).items() if value is fetched]:
                put(module, key, fetch)
    try:
        yield imported
    finally:
        for place, name, value in reversed(before):
            setattr(place, name, value)

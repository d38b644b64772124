"""The shapes of a network's inputs where they differ: the channels of each, found by trying."""

from __future__ import annotations

import itertools
import re
from contextlib import suppress
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

Shapes = Dict[str, Tuple[int, ...]]

#: Names of inputs that have one channel, as far as names tell.
_ONE = re.compile(r"depth|disp|gr[ae]y|mask|edge|thermal|infra|(^|_)(ir|nir|mono|lum|y)($|_)", re.I)
#: What a convolution of PyTorch says of an input.
_CHANNELS = re.compile(r"to have (\d+) channels, but got (\d+) channels")
#: More channels than a camera and a few maps give.
_MOST_CHANNELS = 16
_MOST_INPUTS = 4
_MOST_TRIES = 120


def mixed(
    module: Any, given: Mapping[str, Tuple[int, ...]], answer: Callable[[Shapes], List[Any]]
) -> Optional[Tuple[Shapes, List[Any]]]:
    """Return shapes that a network of several inputs takes, with its answer; ``None`` for none.

    Only what its layers take is tried: channels of convolutions, features of linear layers.
    """
    names = list(given)
    if not 2 <= len(names) <= _MOST_INPUTS or len(set(given.values())) != 1:
        return None
    shape = next(iter(given.values()))
    if len(shape) != 4:
        return None
    channels, features = _taken(module)
    rows = [(1, count) for count in features]

    def choices(name: str) -> List[Tuple[int, ...]]:
        first = [1, 3] if _ONE.search(name) else [3, 1]
        order = [*first, *(one for one in channels if one not in first)]
        return [*((1, one, *shape[2:]) for one in order), *rows]

    for tried in itertools.islice(itertools.product(*map(choices, names)), _MOST_TRIES):
        shapes = dict(zip(names, tried))
        with suppress(Exception):  # the network's own refusal, of whatever kind
            return shapes, answer(shapes)
    return None


def with_channels(
    given: Mapping[str, Tuple[int, ...]], refused: str, answer: Callable[[Shapes], List[Any]]
) -> Optional[Tuple[Shapes, List[Any]]]:
    """Return the shape whose channels the first layer takes, with its answer; ``None`` for none.

    A network may bring its picture into other channels first (four pixels into one); PyTorch says
    how many came of those that were given, and how many it wants.
    """
    told = _CHANNELS.search(refused)
    if told is None or len(given) != 1:
        return None
    ((name, shape),) = given.items()
    wanted, got = (int(number) for number in told.groups())
    channels, rest = divmod(shape[1] * wanted, got) if len(shape) == 4 else (0, 0)
    if rest or not 0 < channels <= _MOST_CHANNELS or channels == shape[1]:
        return None
    shapes = {name: (shape[0], channels, *shape[2:])}
    with suppress(Exception):  # the network's own refusal, of whatever kind
        return shapes, answer(shapes)
    return None


def _taken(module: Any) -> Tuple[List[int], List[int]]:
    """Return the channels of a network's convolutions, and the features of its linear layers."""
    channels, features = set(), []
    for layer in module.modules():
        kernel = getattr(layer, "kernel_size", ())
        taken, given = getattr(layer, "in_channels", 0), getattr(layer, "in_features", 0)
        if isinstance(kernel, tuple) and len(kernel) == 2 and 0 < taken <= _MOST_CHANNELS:
            channels.add(int(taken))
        elif isinstance(given, int) and given > 0 and given not in features:
            features.append(given)
    return sorted(channels), features[:4]

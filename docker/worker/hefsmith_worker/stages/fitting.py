"""Make a network with the arguments that its weights fit, where some were only guessed.

A number that nobody states (a scale, a width) is found where the sizes of layers depend on it. A
guess comes from the size of the last layer: right for a classifier, wrong for a head that adds
boxes to its classes. What the constructor has by itself is tried next, and then the number for
which the layers would have the sizes of the weights.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, Mapping, Optional, Sequence, Tuple

from hefsmith_worker.protocol import StageError
from hefsmith_worker.stages import torch_source
from hefsmith_worker.workspace import Workspace

#: The largest number of classes, channels and the like that is taken for one.
_MOST = 100_000
#: Numbers that are tried one by one where sizes do not grow in step with them.
_TRIED = range(1, 17)


def load_fitting(
    workspace: Workspace, source: Mapping[str, Any], guessed: Sequence[str], unstated: str = ""
) -> Tuple[Any, Dict[str, Any]]:
    """Return the network, and the ``kwargs`` with which its weights fit.

    ``unstated`` is an argument that nothing is known of. Raises
    :class:`~hefsmith_worker.protocol.StageError` of the first attempt where none does.
    """
    kwargs = dict(source.get("kwargs", {}))
    if unstated:
        number = _solved(workspace, source, {**kwargs, unstated: 2}, unstated)
        if number is None:
            raise StageError("no number fits for %s" % unstated, code="export.factory-raised")
        kwargs[unstated] = number
        source = {**source, "kwargs": kwargs}
    try:
        return torch_source.load_module(workspace, source), kwargs
    except StageError as error:
        if error.code not in ("export.weights-fit", "export.factory-raised") or not guessed:
            raise
        for others in _others(workspace, source, kwargs, guessed):
            try:
                return torch_source.load_module(workspace, {**source, "kwargs": others}), others
            except StageError:
                continue
        raise


def _others(
    workspace: Workspace,
    source: Mapping[str, Any],
    kwargs: Mapping[str, Any],
    guessed: Sequence[str],
) -> Iterator[Dict[str, Any]]:
    for name in guessed:
        yield {key: value for key, value in kwargs.items() if key != name}
    if len(guessed) > 1:
        yield {key: value for key, value in kwargs.items() if key not in guessed}
    for name in guessed:
        try:
            number = _solved(workspace, source, kwargs, name)
        except StageError:
            continue
        if number is not None:
            yield {**kwargs, name: number}


def _solved(
    workspace: Workspace, source: Mapping[str, Any], kwargs: Mapping[str, Any], name: str
) -> Optional[int]:
    """Return the number for which every layer that depends on it has the size of the weights."""
    first = int(kwargs[name])
    sizes = [
        torch_source.shapes_of(workspace, {**source, "kwargs": {**kwargs, name: number}})
        for number in (first, first + 1)
    ]
    wanted = torch_source.weight_shapes(workspace, source, sizes[0])
    found = set()
    depends = []
    for key, here in sizes[0].items():
        there, aim = sizes[1].get(key), wanted.get(key)
        if there is None or aim is None or not len(here) == len(there) == len(aim):
            continue
        if here != there:
            depends.append(key)
        for one, two, size in zip(here, there, aim):
            if one != two:
                found.add(first + (size - one) / (two - one))
    if not depends:
        # The sizes say nothing of it, whatever it is.
        return None
    number = found.pop() if len(found) == 1 else 0.0
    if number == int(number) and 1 <= number <= _MOST:
        return int(number)
    for tried in _TRIED:
        shapes = torch_source.shapes_of(workspace, {**source, "kwargs": {**kwargs, name: tried}})
        if all(shapes.get(key) == wanted[key] for key in depends):
            return tried
    return None

"""Give batch normalisation numbers that every exporter folds to the same bits everywhere.

Exporters fold it into the convolution before it: weight * gamma / sqrt(variance + eps). Torch
takes the root from a library that rounds otherwise with AVX2 than without. So the root and the
quotient are taken here, in float64 and by single operations, and what the exporter gets has mean
0 and variance 1: what is left to it is one product for each weight, which IEEE 754 rounds alike.
"""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, List, Tuple

import numpy as np

#: How far the outputs of the changed network may be from those of the original, of their range.
TOLERANCE = 1e-3

_NAMES = ("weight", "bias", "running_mean", "running_var")


@contextlib.contextmanager
def steady(module: Any, arguments: Tuple[Any, ...]) -> Iterator[None]:
    """Let ``module`` have such numbers meanwhile; afterwards it is what it was.

    A network that gives other answers with them (its normalisation is one of its own kind)
    keeps its own.
    """
    import torch

    norms = [one for one in module.modules() if _plain(one)]
    kept: List[Tuple[Any, ...]] = [tuple(getattr(one, name) for name in _NAMES) for one in norms]
    before = _answers(module, arguments) if norms else []
    try:
        for norm in norms:
            _set(norm, _canonical(norm), torch)
        if norms and not _close(before, _answers(module, arguments)):
            _restore(norms, kept)
        yield
    finally:
        _restore(norms, kept)


def _restore(norms: List[Any], kept: List[Tuple[Any, ...]]) -> None:
    for norm, values in zip(norms, kept):
        for name, value in zip(_NAMES, values):
            setattr(norm, name, value)


def _plain(module: Any) -> bool:
    """Tell whether it is a normalisation with fixed statistics, and of a width that leaves 1."""
    from torch import nn

    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    if not isinstance(module, kinds) or module.training:
        return False
    held = {*dict(module.named_parameters(recurse=False)), *dict(module.named_buffers())}
    # Without numbers of its own (affine=False) it has names for them all the same.
    affine = {"weight", "bias"} & held in ({"weight", "bias"}, set())
    eps = np.float32(module.eps)
    return {"running_mean", "running_var"} <= held and affine and 1 - eps + eps == 1


def _canonical(norm: Any) -> Tuple[np.ndarray, ...]:
    mean, variance = (_array(one) for one in (norm.running_mean, norm.running_var))
    gamma = np.ones_like(mean) if norm.weight is None else _array(norm.weight)
    beta = np.zeros_like(mean) if norm.bias is None else _array(norm.bias)
    factor = (gamma / np.sqrt(variance + norm.eps)).astype(np.float32)
    shift = (beta - mean * factor.astype(np.float64)).astype(np.float32)
    one = np.full(mean.shape, np.float32(1) - np.float32(norm.eps), np.float32)
    return factor, shift, np.zeros(mean.shape, np.float32), one


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.detach().cpu().numpy(), np.float64)


def _set(norm: Any, values: Tuple[np.ndarray, ...], torch: Any) -> None:
    for name, value in zip(_NAMES, values):
        made = torch.from_numpy(value)
        if not name.startswith("running"):
            made = torch.nn.Parameter(made, requires_grad=False)
        setattr(norm, name, made)


def _answers(module: Any, arguments: Tuple[Any, ...]) -> List[np.ndarray]:
    import torch

    from hefsmith_worker.stages import torch_source

    with torch.no_grad():
        outputs = torch_source.flatten(module(*arguments))
    return [one.detach().float().cpu().numpy() for one in outputs]


def _close(before: List[np.ndarray], after: List[np.ndarray]) -> bool:
    for a, b in zip(before, after):
        if a.shape != b.shape:
            return False
        reach = float(np.abs(a).max()) if a.size else 0.0
        if a.size and not float(np.abs(a - b).max()) <= TOLERANCE * max(reach, 1e-6):
            return False
    return True

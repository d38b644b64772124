"""Test-only model: a depthwise-separable network, the kind that quantises badly."""

from __future__ import annotations

import torch
from torch import nn


def _step(layer: nn.Conv2d) -> list[nn.Module]:
    return [layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU(inplace=True)]


def _separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    depthwise = nn.Conv2d(
        inputs, inputs, kernel_size=3, stride=stride, padding=1, groups=inputs, bias=False
    )
    pointwise = nn.Conv2d(inputs, outputs, kernel_size=1, bias=False)
    return nn.Sequential(*_step(depthwise), *_step(pointwise))


class Shapes(nn.Module):
    """Maps normalised RGB pictures (N, 3, 64, 64) to ten logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Conv2d(3, 24, kernel_size=3, stride=2, padding=1, bias=False)
        self.features = nn.Sequential(
            *_step(stem),
            _separable(24, 32, 1),
            _separable(32, 48, 2),
            _separable(48, 64, 1),
            _separable(64, 96, 2),
            _separable(96, 96, 1),
            _separable(96, 128, 1),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(128, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(torch.flatten(self.pool(self.features(image)), 1))


def build() -> nn.Module:
    """Return the network without its weights."""
    return Shapes()

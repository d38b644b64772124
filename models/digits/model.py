"""The bundled model: a small convolutional network for handwritten digits."""

from __future__ import annotations

import torch
from torch import nn


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Digits(nn.Module):
    """Maps scans (N, 1, 32, 32), float32 in 0..1, to ten logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _block(1, 16, 2), _block(16, 24, 1), _block(24, 32, 2), _block(32, 40, 1)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(40, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(torch.flatten(self.pool(self.features(image)), 1))


def build() -> nn.Module:
    """Return the network without its weights; the recipe names the file that has them."""
    return Digits()

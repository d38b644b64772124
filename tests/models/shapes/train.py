"""Trains the test-only model and writes shapes.pt (some minutes on two cores).

python tests/models/shapes/train.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import draw  # noqa: E402
import model  # noqa: E402

EPOCHS = 9
BATCH = 64
SIZE = 64
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """Letterbox to (N, 3, 64, 64) uint8 as the recipe says (pad value 114)."""
    height = SIZE * draw.HEIGHT // draw.WIDTH
    top = (SIZE - height) // 2
    out = np.full((len(images), SIZE, SIZE, 3), 114, dtype=np.uint8)
    for index, image in enumerate(images):
        small = Image.fromarray(image).resize((SIZE, height), Image.Resampling.BILINEAR)
        out[index, top : top + height] = np.asarray(small)
    return torch.from_numpy(out).permute(0, 3, 1, 2)


def normalise(images: torch.Tensor) -> torch.Tensor:
    return (images.float() - MEAN) / STD


def accuracy(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    network.eval()
    with torch.inference_mode():
        votes = torch.cat([network(normalise(part)).argmax(1) for part in images.split(250)])
    return float((votes == labels).float().mean())


def main() -> None:
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(mode=True)
    chance = torch.Generator().manual_seed(1)
    pictures, labels = draw.pictures(12_000, draw.TRAINING_SEED)
    images, targets = to_tensor(pictures), torch.from_numpy(labels)
    network = model.build()
    steps = EPOCHS * (len(images) // BATCH + 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    for epoch in range(EPOCHS):
        network.train()
        for batch in torch.randperm(len(images), generator=chance).split(BATCH):
            part = normalise(images[batch])
            if torch.rand((), generator=chance) < 0.5:
                part = part.flip(3)
            loss = nn.functional.cross_entropy(network(part), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}", flush=True)
    torch.save(network.state_dict(), HERE / "shapes.pt")
    pictures, labels = draw.pictures(2_000, draw.VALIDATION_SEED)
    held_out = accuracy(network, to_tensor(pictures), torch.from_numpy(labels))
    print(f"validation {held_out:.4f}")


if __name__ == "__main__":
    main()

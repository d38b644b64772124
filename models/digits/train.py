"""Trains the bundled model and writes digits.pt; under a minute on two cores.

    python models/digits/train.py

The same seed, machine and versions give the same file. The scans are prepared as the recipe
says: enlarged from 8x8 to 32x32, then divided by 255.
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

import data  # noqa: E402
import model  # noqa: E402

EPOCHS = 40
BATCH = 64
SIZE = (32, 32)


def to_tensor(scans: list[data.Scan]) -> torch.Tensor:
    """Return (N, 1, 32, 32) float32 in 0..1."""
    small = [Image.frombytes("L", (data.SIDE, data.SIDE), scan.points) for scan in scans]
    large = [np.asarray(scan.resize(SIZE, Image.Resampling.BILINEAR)) for scan in small]
    return torch.from_numpy(np.stack(large)).unsqueeze(1).float() / 255.0


def move(images: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Shift every image by up to four points and change its contrast a little."""
    count = len(images)
    padded = nn.functional.pad(images, (4, 4, 4, 4))
    offsets = torch.randint(0, 9, (count, 2), generator=chance)
    moved = torch.stack(
        [
            padded[i, :, y : y + SIZE[0], x : x + SIZE[1]]
            for i, (y, x) in enumerate(offsets.tolist())
        ]
    )
    contrast = 0.8 + 0.4 * torch.rand((count, 1, 1, 1), generator=chance)
    return (moved * contrast).clamp(0.0, 1.0)


def accuracy(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of images whose highest logit is their label."""
    network.eval()
    with torch.inference_mode():
        return float((network(images).argmax(1) == labels).float().mean())


def main() -> None:
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(mode=True)
    chance = torch.Generator().manual_seed(1)
    scans = data.load()
    images, targets = to_tensor(scans), torch.tensor([scan.label for scan in scans])
    unseen = torch.tensor([scan.held_out for scan in scans])
    seen = ~unseen
    network = model.build()
    steps = EPOCHS * (int(seen.sum()) // BATCH + 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    train_images, train_targets = images[seen], targets[seen]
    for _ in range(EPOCHS):
        network.train()
        for batch in torch.randperm(len(train_images), generator=chance).split(BATCH):
            logits = network(move(train_images[batch], chance))
            loss = nn.functional.cross_entropy(logits, train_targets[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    torch.save(network.state_dict(), HERE / "digits.pt")
    print(f"training   {accuracy(network, train_images, train_targets):.4f}")
    print(f"validation {accuracy(network, images[unseen], targets[unseen]):.4f}")


if __name__ == "__main__":
    main()

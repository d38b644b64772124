"""In which order candidates are taken: spread over folders and classes, decided by the seed.

The order within a group is by a hash of seed and name, so it is the same on every machine
and Python, and adding a picture does not shuffle the others.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from typing import Dict, List, Sequence, Tuple

from hefsmith_worker.calibration.items import Item

Sample = Tuple[Item, ...]


def order_samples(samples: Sequence[Sample], seed: int) -> List[Sample]:
    """Return the samples so that any first part of them covers all groups as evenly as it can.

    Folders are taken in turn on every level, so ten pictures of a small folder are not lost
    behind ten thousand of a large one; duplicate names (two lists of one file) stay once.
    """
    groups: Dict[Tuple[str, ...], List[Sample]] = {}
    rare = _class_counts(samples)
    seen = set()
    for sample in samples:
        item = sample[0]
        key = (item.path, item.member, item.span, item.row)
        if key in seen:
            continue
        seen.add(key)
        groups.setdefault(_group(item, rare), []).append(sample)
    for members in groups.values():
        members.sort(key=lambda sample: _rank(seed, sample[0].name))
    return _in_turn(groups, seed)


def _class_counts(samples: Sequence[Sample]) -> Dict[int, int]:
    counts: Counter[int] = Counter()
    for sample in samples:
        counts.update({int(box[4]) for box in sample[0].boxes or ()})
    return counts


def _group(item: Item, rare: Dict[int, int]) -> Tuple[str, ...]:
    """Folders, then the label; with boxes, the class that the data set has least of."""
    if item.boxes:
        rarest = min({int(box[4]) for box in item.boxes}, key=lambda number: (rare[number], number))
        return (*item.group, f"class {rarest}")
    if item.label is not None and item.label not in item.group:
        return (*item.group, f"label {item.label}")
    return item.group


def _in_turn(groups: Dict[Tuple[str, ...], List[Sample]], seed: int) -> List[Sample]:
    """Merge groups by the share of each that was taken, level by level.

    Every sample gets a key: its turn on each level of folders. Sorting by turns of the
    outermost level first takes one of each folder, and inside a folder one of each sub-folder.
    """
    tree: Dict[Tuple[str, ...], List[Tuple[str, ...]]] = {}
    for path in groups:
        for depth in range(len(path)):
            branch = tree.setdefault(path[:depth], [])
            if path[: depth + 1] not in branch:
                branch.append(path[: depth + 1])
    merged: Dict[Tuple[str, ...], List[Sample]] = {}
    for path in sorted(set(tree) | set(groups), key=len, reverse=True):
        children = sorted(tree.get(path, ()), key=lambda child: _rank(seed, "/".join(child)))
        queues = [merged.pop(child) for child in children]
        if path in groups:
            queues.append(groups[path])
        merged[path] = _round_robin(queues)
    return merged.get((), [])


def _round_robin(queues: Sequence[List[Sample]]) -> List[Sample]:
    if len(queues) == 1:
        return list(queues[0])
    turns = [(turn, index) for index, queue in enumerate(queues) for turn in range(len(queue))]
    return [queues[index][turn] for turn, index in sorted(turns)]


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogateescape")).digest()


def chance_for(seed: int, name: str) -> random.Random:
    """Return the random numbers of one picture (random crops), the same in every process."""
    return random.Random(  # noqa: S311  no secret
        int.from_bytes(_rank(seed, "crop\0" + name)[:8], "big")
    )

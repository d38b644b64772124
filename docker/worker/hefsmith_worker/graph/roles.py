"""Which end of a detection head is which: box, class, objectness, mask, keypoints, angle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from hefsmith_worker.graph.heads import End, Fused, fused_layout

#: In this order the ends of a scale are proposed.
ORDER = ("box", "objectness", "class", "mask", "keypoints", "angle")
#: Anchors per cell that detectors with separate box and class layers use.
_ANCHOR_COUNTS = (2, 3, 4, 5, 6, 9)
#: Four sides of 16 bins.
_COMMON_BOX = 64
#: From this many on, box channels / 4 are bins of a distribution.
_FEWEST_BINS = 7


@dataclass(frozen=True)
class Head:
    """A detection head: scales (finest first) of ends by role, and what the sizes say."""

    scales: Tuple[Dict[str, End], ...]
    classes: int
    bins: Optional[int] = None
    anchors: int = 1
    fused: Optional[Fused] = None
    dense: bool = False
    seen: bool = True
    reasons: Tuple[str, ...] = ()

    @property
    def roles(self) -> Tuple[str, ...]:
        """The roles of one scale in the order of the outputs."""
        return tuple(role for role in ORDER if role in self.scales[0])


def read_head(
    scales: Sequence[Sequence[End]], masks: Optional[int], layout: Optional[Fused] = None
) -> Optional[Head]:
    """Give roles to the ends of all scales, or ``None`` when they are no detection head.

    ``masks`` is the number of prototype masks if the network has them; ``layout`` the layout
    of fused layers where the output's own shape tells it.
    """
    if not scales or len({len(scale) for scale in scales}) != 1:
        return None
    columns = [list(column) for column in zip(*scales)]
    if len(columns) == 1:
        return _single(columns[0], masks, layout)
    if len(columns) > 4:
        return None
    return _several(columns, masks)


def _single(column: List[End], masks: Optional[int], layout: Optional[Fused]) -> Optional[Head]:
    """Read a head with one layer per scale: anchors x everything, or classes + distribution."""
    kinds = {end.kind for end in column}
    if kinds == {"fused"}:
        found = {fused_layout(end.letters) for end in column}
        fused = found.pop()
        if found or fused is None or (fused.masks and fused.masks != masks):
            return None
        why = f"one layer per scale: {fused.anchors} x (4 + 1 + {fused.classes}"
        why += f" + {fused.masks} mask coefficients)" if fused.masks else ")"
        return Head(
            tuple({"box": end} for end in column),
            fused.classes,
            anchors=fused.anchors,
            fused=fused,
            reasons=(why + ", told by what the decoding does to each channel",),
        )
    if kinds == {"dense"}:
        classes = {end.letters.count("s") for end in column}
        bins = {len(end.letters) - end.letters.count("s") for end in column}
        if len(classes) == len(bins) == 1 and next(iter(bins)) % 4 == 0:
            return Head(
                tuple({"box": end} for end in column),
                classes.pop(),
                bins=bins.pop() // 4,
                dense=True,
                reasons=("one layer per scale: class scores, then the distributions of a box",),
            )
        return None
    if kinds == {"r"} and layout is not None and len(column) > 1:
        return Head(
            tuple({"box": end} for end in column),
            layout.classes,
            anchors=layout.anchors,
            fused=layout,
            seen=False,
            reasons=(
                (
                    f"one layer per scale: the shapes fit {layout.anchors} anchors x "
                    f"(5 + {layout.classes}), the decoding is not in the graph"
                ),
            ),
        )
    return None


def _several(columns: List[List[End]], masks: Optional[int]) -> Optional[Head]:
    kinds = [_kind(column) for column in columns]
    if "fused" in kinds or "dense" in kinds:
        return None
    roles: Dict[str, int] = {}
    _take(roles, "angle", [i for i, kind in enumerate(kinds) if kind == "t"])
    box = _find_box(columns, kinds, masks)
    if box is None:
        return None
    roles["box"] = box
    scores = [i for i, kind in enumerate(kinds) if kind == "s" and i not in roles.values()]
    points = [i for i, kind in enumerate(kinds) if kind in ("points", "c") and i != box]
    raw = [i for i, kind in enumerate(kinds) if kind == "r" and i not in roles.values()]
    _take(roles, "keypoints", points)
    if masks is not None:
        _take(roles, "mask", [i for i in raw if columns[i][0].channels == masks][:1])
        raw = [i for i in raw if i not in roles.values()]
    seen = bool(scores)
    if scores:
        _split_scores(roles, scores, columns, box)
    if raw and not _place_raw(roles, raw, columns, box):
        return None
    if "class" not in roles or len(roles) != len(columns):
        return None
    return _sized(columns, roles, kinds[box], seen)


def _kind(column: Sequence[End]) -> str:
    """Return what the ends of a column agree on; a map of one cell shows no grid."""
    kinds = [end.kind for end in column if end.cells != (1, 1)] or [column[0].kind]
    if len(set(kinds)) == 1:
        return kinds[0]
    # An odd scale (one cell high, say) hides a part of the geometry: the finest one counts.
    return kinds[0]


def _take(roles: Dict[str, int], role: str, found: List[int]) -> None:
    if len(found) == 1:
        roles[role] = found[0]


def _find_box(
    columns: Sequence[Sequence[End]], kinds: Sequence[str], masks: Optional[int]
) -> Optional[int]:
    """Return the column of box distances, ``None`` when nothing can be one."""
    fits = [i for i, column in enumerate(columns) if all(end.channels % 4 == 0 for end in column)]
    for letter in ("d", "c"):
        found = [i for i in fits if kinds[i] == letter]
        if found:
            # Key points have more coordinates than a box.
            return min(found, key=lambda i: columns[i][0].channels)
    raw = [i for i in fits if kinds[i] == "r" and columns[i][0].channels != masks]
    if not raw:
        raw = [i for i in fits if kinds[i] == "r"]
    if len(raw) > 1 and len(raw) == len(columns):
        return _box_by_size(columns)
    return min(raw, key=lambda i: _unlikely(columns[i][0].channels)) if raw else None


def _unlikely(channels: int) -> int:
    """Rank box channels: 4, then 16 bins, then the other known numbers, then the rest."""
    return {4: 0, 64: 1, 68: 2, 32: 3, 44: 3}.get(channels, 4)


def _box_by_size(columns: Sequence[Sequence[End]]) -> Optional[int]:
    """Tell boxes from classes by sizes alone, where the graph ends at the head."""
    ranked = sorted(
        (i for i, column in enumerate(columns) if all(e.channels % 4 == 0 for e in column)),
        key=lambda i: (_unlikely(columns[i][0].channels), columns[i][0].rank),
    )
    if not ranked:
        return None
    heavy = [i for i in ranked if not columns[i][0].light]
    if heavy and len(heavy) < len(ranked) and len(columns) == len(ranked):
        # Where one tower has depthwise layers only, it is that of the classes.
        ranked = heavy
    elif {columns[i][0].channels for i in ranked} == {4, _COMMON_BOX} and len(columns) == 2:
        # Four classes are many times more common than exactly 64.
        ranked.sort(key=lambda i: -columns[i][0].channels)
    if _unlikely(columns[ranked[0]][0].channels) < 4:
        return ranked[0]
    for i in ranked:
        counts = [end.channels // 4 for end in columns[i]]
        others = [column for j, column in enumerate(columns) if j != i]
        if all(count in _ANCHOR_COUNTS for count in counts) and all(
            end.channels % count == 0 for column in others for end, count in zip(column, counts)
        ):
            return i
    return None


def _split_scores(
    roles: Dict[str, int], scores: List[int], columns: Sequence[Sequence[End]], box: int
) -> None:
    """Tell objectness (or centre-ness) from classes: one channel, beside the boxes."""
    if len(scores) == 1:
        roles["class"] = scores[0]
        return
    if len(scores) > 2:
        return
    single = [i for i in scores if all(end.channels == 1 for end in columns[i])]
    if len(single) == 2:
        beside = [i for i in single if columns[i][0].data == columns[box][0].data]
        single = beside if len(beside) == 1 else []
    if len(single) == 1:
        roles["objectness"] = single[0]
        roles["class"] = next(i for i in scores if i != single[0])


def _place_raw(
    roles: Dict[str, int], raw: List[int], columns: Sequence[Sequence[End]], box: int
) -> bool:
    """Place the ends that nothing is done to; the sizes and shared inputs must decide."""
    sizes = {i: columns[i][0].channels for i in raw}
    beside = [i for i in raw if columns[i][0].data == columns[box][0].data]
    if "class" not in roles:
        if len(raw) == 1:
            roles["class"] = raw[0]
            return True
        ones = [i for i in raw if sizes[i] == 1]
        if len(raw) == 2 and len(ones) == 1:
            other = next(i for i in raw if i not in ones)
            shared = beside or columns[ones[0]][0].data == columns[other][0].data
            if shared:
                roles.update({"objectness": ones[0], "class": other})
            elif columns[ones[0]][0].rank > columns[other][0].rank or sizes[other] % 3:
                # The head is built in the order box, class, angle.
                roles.update({"angle": ones[0], "class": other})
            else:
                roles.update({"class": ones[0], "keypoints": other})
            return True
        if len(raw) == 2 and len(ones) == 2 and len(beside) == 1:
            roles["objectness"] = beside[0]
            roles["class"] = next(i for i in ones if i != beside[0])
            return True
        points = [i for i in raw if sizes[i] % 3 == 0 and sizes[i] >= 6]
        if len(raw) == 2 and points:
            # The head is built in the order box, class, key points.
            last = max(points, key=lambda i: columns[i][0].rank)
            roles["keypoints"] = last
            roles["class"] = next(i for i in raw if i != last)
            return True
        return False
    if len(raw) > 1:
        return False
    size = sizes[raw[0]]
    if size == 1 and "objectness" not in roles:
        roles["objectness" if beside else "angle"] = raw[0]
        return True
    if size % 3 == 0 or size % 2 == 0:
        roles.setdefault("keypoints", raw[0])
        return roles["keypoints"] == raw[0]
    return False


def _sized(
    columns: Sequence[Sequence[End]], roles: Dict[str, int], kind: str, seen: bool
) -> Optional[Head]:
    """Read bins, anchors and classes off the sizes; ``None`` when they do not fit together."""
    boxes = [end.channels for end in columns[roles["box"]]]
    classes = [end.channels for end in columns[roles["class"]]]
    softmax = columns[roles["class"]][0].softmax
    per_box = [size // 4 for size in boxes]
    bins: Optional[int] = None
    counts = [1] * len(boxes)
    if kind == "d" or (
        kind == "r"
        and len(set(boxes)) == 1
        and per_box[0] >= _FEWEST_BINS
        and per_box[0] not in _ANCHOR_COUNTS
    ):
        if kind == "r" and (len(boxes) == 1 or softmax):
            # Detectors with distributions have several scales and a sigmoid for each class: what
            # stands beside one map of scores, and is never decoded, is a descriptor.
            return None
        bins = per_box[0]
    else:
        counts = per_box
    found = {size // count for size, count in zip(classes, counts)}
    if any(size % count for size, count in zip(classes, counts)) or len(found) != 1:
        return None
    number = found.pop()
    if softmax and max(counts) > 1 and softmax != number:
        return None
    reasons = [_say(roles, columns, seen)]
    if bins is not None:
        reasons.append(f"boxes are distributions over {bins} bins a side")
    elif max(counts) > 1:
        reasons.append(f"{'/'.join(map(str, counts))} anchors per cell")
    scales = tuple(
        {role: columns[i][scale] for role, i in roles.items()} for scale in range(len(boxes))
    )
    return Head(scales, number, bins, max(counts), seen=seen, reasons=tuple(reasons))


def _say(roles: Dict[str, int], columns: Sequence[Sequence[End]], seen: bool) -> str:
    parts = [f"{role} {columns[roles[role]][0].channels}" for role in ORDER if role in roles]
    how = "told by what the decoding does" if seen else "told by their sizes only"
    return f"channels per scale: {', '.join(parts)}, {how}"

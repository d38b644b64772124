"""One finding for one fact: several wordings of a log may tell the same, or it and a comparison.

"Level 2 became 1, since there are fewer than 1024 images" is one loss with one next step,
however many entries of the list its sentence satisfies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchestrator.diagnose.finding import Diagnosis

#: Entries that tell one fact, the one with the reason first.
SAME: tuple[tuple[str, ...], ...] = (
    ("O01", "C04", "A09", "D01"),  # a lower level ran
    ("C05", "D02"),  # fewer images were used than given
    ("O13", "D04"),  # 4-bit weights
    ("A05", "D05"),  # 8 bits instead of 16
    ("R1160", "R96"),  # the packages of line 4.x for a card of line 5.x
    ("S1060", "S1080"),  # an environment that does not see the system's packages
    ("R96", "R08"),  # HailoRT of the other line finds no device
    ("R96", "R24"),
    ("R96", "R33"),
    ("R96", "R53"),
    ("L53", "B40"),  # Yocto left a recipe out for its licence
    ("R520", "R24"),  # no driver for the kernel that runs, and what comes of it
    ("R520", "R33"),
    ("R520", "R40"),
    ("R520", "R53"),
    ("R1549", "R24"),  # the same with the driver built for a kernel that is not started yet
    ("R1549", "R33"),
    ("R1549", "R40"),
    ("R1549", "R53"),
    ("R691", "R24"),  # the driver was never built
    ("R691", "R33"),
    ("R691", "R40"),
    ("R691", "R53"),
    ("R95", "R29"),  # the card went away for want of power
    ("G87", "H05"),  # git's own login, not a device's
    ("P50", "P21"),  # a shape that the parser got wrong
    ("G59", "E61"),  # what it wants to know of the sizes
    ("E79", "G25"),
    ("E80", "G25"),  # files of different versions
    ("E74", "E06"),  # what PyTorch's exporter cannot write
    ("B01", "Z61"),  # a build that lacks headers
)

#: What a build foresees, by the entries of which one then tells what came.
FORESEEN = {"calib.count.level": SAME[0]}


def told_already(name: str, others: Iterable[str]) -> bool:
    """Tell whether one of ``others`` tells what ``name`` tells, with a better reason."""
    given = set(others)
    if given & set(FORESEEN.get(name, ())):
        return True
    return any(name in group and given & set(group[: group.index(name)]) for group in SAME)


def once(found: Sequence[Diagnosis]) -> list[Diagnosis]:
    """Return ``found`` without what repeats another finding of the same severity or worse."""
    said = {one.id for one in found if one.severity != "possible"}
    return [one for one in found if not told_already(one.id, said - {one.id})]

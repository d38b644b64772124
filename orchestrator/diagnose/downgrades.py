"""Compares what was asked with what ran: each difference downwards is a finding."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.diagnose.rules import fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.diagnose.finding import Asked, Diagnosis, Ran


def downgrades(asked: Asked, ran: Ran) -> list[Diagnosis]:
    """Return every way in which a run did less than was asked (``--strict`` makes them fatal).

    Compares numbers only, so it holds for any log that :class:`Ran` could be read from, and
    for what the worker reports itself.
    """
    found: list[Diagnosis] = []

    def add(name: str, text: str, **known: object) -> None:
        filled = {key: str(value) for key, value in known.items() if value is not None}
        found.append(fill(load_catalogue()[name], filled, text=text))

    level = asked.level if asked.level is not None else ran.level_asked
    if level is not None and ran.level_run is not None and ran.level_run < level:
        text = f"level {level} asked, level {ran.level_run} run"
        chosen_by = None if asked.level is not None else "the compiler's own choice"
        add("D01", text, level_asked=level, level_run=ran.level_run, chosen_by=chosen_by)
    given = asked.images if asked.images is not None else ran.images_given
    if given is not None and ran.images_used is not None and ran.images_used < given:
        text = f"{given} images given, {ran.images_used} used"
        add("D02", text, images_given=given, images_used=ran.images_used)
    if asked.gpu and ran.gpu is False:
        add("D03", "a GPU asked for, the CPU used")
    if ran.four_bit_layers and not asked.compression:
        layers = ", ".join(ran.four_bit_layers)
        add("D04", f"4-bit weights in {layers}", layers=layers)
    if ran.demoted_layers:
        layers = ", ".join(ran.demoted_layers)
        add("D05", f"8 bits instead of 16 in {layers}", layers=layers)
    skipped = [name for name in asked.algorithms if _was_skipped(name, ran.skipped)]
    if skipped:
        named = ", ".join(
            one for one in ran.skipped if any(_was_skipped(s, [one]) for s in skipped)
        )
        add("D06", f"skipped: {named}", algorithms=named)
    return found


def _was_skipped(name: str, skipped: Sequence[str]) -> bool:
    wanted = re.sub(r"[^a-z]", "", name.lower())
    return any(wanted in re.sub(r"[^a-z]", "", one.lower()) for one in skipped)

"""Which class number a folder name, a list's label or a data set's class stands for."""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Sequence, Tuple

from hefsmith_worker.calibration.items import Item
from hefsmith_worker.contract.findings import INFO, WARNING, Finding


def label_indices(
    items: Sequence[Item],
    labels: Sequence[str],
    task: Optional[str],
    every: Optional[Sequence[str]] = None,
) -> Tuple[Tuple[Optional[int], ...], List[Finding]]:
    """Return the class index of each item by its label, or ``None``.

    Names are compared without case, and with ``-``, ``_`` and spaces as one. Without a list
    of labels, and for classification only, the folders in sorted order are the classes (as
    torchvision numbers them); so they are when no name matches but the number of them does.
    ``every`` are the names of the whole source where ``items`` are only a part of it: a class
    keeps its number although some have no sample.
    """
    given = sorted(set(every or ()) | {item.label for item in items if item.label is not None})
    if not given or task not in (None, "auto", "classification"):
        return tuple(None for _ in items), []
    table, findings = _table(given, labels, task)
    return tuple(table.get(item.label) if item.label is not None else None for item in items), (
        findings
    )


def _table(
    given: Sequence[str], labels: Sequence[str], task: Optional[str]
) -> Tuple[Dict[str, int], List[Finding]]:
    if not labels:
        if task != "classification":
            return {}, []
        return {name: index for index, name in enumerate(given)}, []
    known = {_plain(name): index for index, name in enumerate(labels)}
    table = {name: known[_plain(name)] for name in given if _plain(name) in known}
    if not table and len(given) == len(labels):
        note = Finding(
            "samples.labels.order",
            # Codes (n01440764, 07) are no words; words that differ may be another data set's.
            INFO if all(any(one.isdigit() for one in name) for name in given) else WARNING,
            f"no folder is named like a label; the {len(given)} folders are numbered in sorted "
            f"order ({given[0]} is {labels[0]})",
            "Name the folders like the labels to be sure.",
        )
        return {name: index for index, name in enumerate(given)}, [note]
    if not table and all(name.isdigit() and int(name) < len(labels) for name in given):
        return {name: int(name) for name in given}, []
    unknown = [name for name in given if name not in table]
    if table and unknown:
        note = Finding(
            "samples.labels.unknown",
            WARNING,
            f"{len(unknown)} of {len(given)} folders match no label: {', '.join(unknown[:5])}",
            "Their pictures count as unlabelled. Compare the names with the labels file.",
        )
        return table, [note]
    return table, []


def class_numbers(
    classes: Sequence[str], labels: Sequence[str]
) -> Tuple[Dict[int, int], List[Finding]]:
    """Return the recipe's number for each class number of a data set with boxes."""
    same = {index: index for index in range(max(len(classes), len(labels), 1))}
    if not classes or not labels:
        return same, []
    known = {_plain(name): index for index, name in enumerate(labels)}
    table = {
        index: known[_plain(name)] for index, name in enumerate(classes) if _plain(name) in known
    }
    if len(table) == len(classes):
        return table, []
    unknown = [name for name in classes if _plain(name) not in known]
    note = Finding(
        "samples.classes",
        WARNING,
        f"the data set has classes that the labels lack: {', '.join(unknown[:5])}; "
        + ("class numbers are taken as they are" if not table else "their boxes are left out"),
        "Compare the data set's class names with the recipe's labels.",
    )
    return (table or same), [note]


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()

"""Tables that say what pictures show: CSV files with a picture and its class, or numbers, a row."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.reading import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

SUFFIXES = (".csv", ".tsv")
#: Rows of a table that are read.
MOST_ROWS = 500_000
#: Of its rows, so many must name a picture that is there.
_MOSTLY = 0.9
_FEWEST_ROWS = 8
#: Names of the column that holds the class, best first.
_CLASS_NAMES = ("label", "class", "category", "target", "species", "breed", "name", "y")


@dataclass(frozen=True)
class Table:
    """What a table says of the pictures.

    ``rows`` are (picture, class) in the file's order, ``numbers`` the names of columns of numbers
    that belong to each picture, where it has no class. ``classes`` are in the order in which they
    count: as numbers where they are numbers, else as text.
    """

    path: Path
    rows: tuple[tuple[Path, str], ...] = ()
    numbers: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that occur."""
        found = {label for _, label in self.rows}
        if all(label.isdigit() for label in found):
            return tuple(sorted(found, key=int))
        return tuple(sorted(found))


def read_table(path: Path, pictures: Iterable[Path]) -> Table | None:
    """Return what a file says of the pictures, ``None`` where it is no table of them."""
    try:
        lines = read_text(path).splitlines()[: MOST_ROWS + 1]
        rows = [row for row in csv.reader(lines, delimiter=_delimiter(path, lines)) if row]
    except (OSError, ValueError, csv.Error):
        return None
    if len(rows) < 2:
        return None
    width = len(rows[0])
    rows = [[cell.strip() for cell in row] for row in rows if len(row) == width]
    known: dict[str, Path] = {}
    for picture in pictures:
        known.setdefault(picture.name, picture)
        known.setdefault(picture.stem, picture)
    header, body = rows[0], rows[1:]
    column = _pictures_in(body, known)
    if column is None:
        return None
    if _picture(header[column], known) is not None:
        header, body = [f"column {number + 1}" for number in range(width)], rows
    others = [number for number in range(width) if number != column]
    chosen = _class_column(header, body, others)
    if chosen is not None:
        labels = [row[chosen] for row in body]
    elif len(others) > 1 and _one_hot(body, others):
        labels = [header[next(n for n in others if float(row[n]) == 1.0)] for row in body]
    else:
        numeric = [number for number in others if _numeric(body, number)]
        numbers = tuple(header[number] for number in numeric)
        return Table(path, numbers=numbers) if numbers else None
    named = [(_picture(row[column], known), label) for row, label in zip(body, labels, strict=True)]
    return Table(path, tuple((one, label) for one, label in named if one is not None and label))


def _delimiter(path: Path, lines: Sequence[str]) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    counts = Counter({mark: lines[0].count(mark) for mark in ",;\t"} if lines else {",": 0})
    return counts.most_common(1)[0][0]


def _picture(cell: str, known: Mapping[str, Path]) -> Path | None:
    return known.get(cell.replace("\\", "/").rpartition("/")[2])


def _pictures_in(body: Sequence[Sequence[str]], known: Mapping[str, Path]) -> int | None:
    """Return the column that names pictures."""
    for number in range(len(body[0]) if body else 0):
        named = sum(_picture(row[number], known) is not None for row in body)
        if named >= max(_FEWEST_ROWS, _MOSTLY * len(body)):
            return number
    return None


def _class_column(
    header: Sequence[str], body: Sequence[Sequence[str]], others: Sequence[int]
) -> int | None:
    """Return the column of classes: called so, else the only one whose values are few."""
    few = [
        number
        for number in others
        if 2 <= len({row[number] for row in body}) <= max(2, len(body) // 2)
        and not _fractions(body, number)
    ]
    names = [header[number].lower() for number in few]
    for wanted in _CLASS_NAMES:
        if wanted in names:
            # A text says more than the number that stands for it.
            return next(
                (n for n in few if header[n].lower() == wanted and not _numeric(body, n)),
                few[names.index(wanted)],
            )
    return few[0] if len(few) == 1 and len(others) == 1 else None


def _numeric(body: Sequence[Sequence[str]], number: int) -> bool:
    try:
        for row in body:
            float(row[number])
    except ValueError:
        return False
    return True


def _fractions(body: Sequence[Sequence[str]], number: int) -> bool:
    return _numeric(body, number) and any(not float(row[number]).is_integer() for row in body)


def _one_hot(body: Sequence[Sequence[str]], others: Sequence[int]) -> bool:
    if not all(_numeric(body, number) for number in others):
        return False
    return all(sorted(float(row[n]) for n in others)[-2:] == [0.0, 1.0] for row in body)

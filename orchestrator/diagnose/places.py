"""Knows where each line of a story stands: its file, and its number there."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Places:
    """Files that are read one after the other, and lines that stood in one line of a file."""

    def __init__(self, file: str | None) -> None:
        #: Where each file begins: number of lines read before it, and its name.
        self._files: list[tuple[int, str | None]] = [(0, file)]
        #: Numbers of what stood in the same line as the one before.
        self._inner: list[int] = []

    def begin(self, name: str | None, *, read: int) -> None:
        """Start the next file, ``read`` lines after the beginning of the first."""
        if read == 0:
            self._files = []
        self._files.append((read, name))

    def join(self, number: int) -> None:
        """Take note that line ``number`` over all stood in the same line as the one before."""
        self._inner.append(number)

    @property
    def several(self) -> bool:
        """Whether the story is of more than one file."""
        return len(self._files) > 1

    @property
    def file(self) -> str | None:
        """Name of the file that is read."""
        return self._files[-1][1]

    def where(self, number: int) -> tuple[int, str | None]:
        """Return line and file of the line that was read as number ``number`` over all."""
        index = bisect_left(self._files, number, key=lambda one: one[0]) - 1
        before, file = self._files[max(index, 0)]
        inner = bisect_right(self._inner, number) - bisect_right(self._inner, before)
        return number - before - inner, file

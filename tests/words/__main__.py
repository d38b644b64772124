"""Bring the catalogues up to today's messages and compile them: ``python -m tests.words``.

``python -m tests.words es`` begins one for another language.
"""

from __future__ import annotations

import sys

from orchestrator.language import FOLDER
from tests.words.catalogue import catalogues, compiled, read, renewed


def main(new: list[str]) -> None:
    """Write every ``.po`` and ``.mo``, and say how much of each is translated."""
    FOLDER.mkdir(exist_ok=True)
    paths = {*catalogues(), *(FOLDER / f"{name.replace('-', '_')}.po" for name in new)}
    for path in sorted(paths):
        path.write_bytes(renewed(path))
        path.with_suffix(".mo").write_bytes(compiled(path))
        known = [one for one in read(path) if one.id]
        done = sum(bool(one.string) for one in known)
        print(f"{path.name}: {done} of {len(known)} messages")


if __name__ == "__main__":
    main(sys.argv[1:])

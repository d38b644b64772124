"""Print the table: what was planted and what was told, ``N planted, M caught``.

Words given as arguments limit it to the rows that have them all in name or group.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.lies.bench import Bench
from tests.lies.table import ROWS


def main() -> int:
    """Run every row, planted and honest; 0 when all lies are caught and no control is blamed."""
    caught = blamed = 0
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hefsmith-lies-") as folder:
        bench = Bench(Path(folder))
        rows = [row for row in ROWS if all(word in row.name + row.group for word in wanted)]
        for row in rows:
            told, honest = row.look(bench, True), row.look(bench, False)
            caught += told is not None
            blamed += honest is not None
            verdict = "MISSED" if told is None else "BLAMED" if honest is not None else "ok"
            print(f"{verdict:<7} {row.group:<16} {row.name}")
            if verdict != "ok" or "-v" in sys.argv:
                print(f"        planted: {told}\n        honest:  {honest}")
    print(
        f"\n{len(rows)} planted, {caught} caught; {len(rows)} controls, {blamed} blamed"
        f"  ({time.monotonic() - began:.0f} s)"
    )
    return 0 if caught == len(rows) and not blamed else 1


if __name__ == "__main__":
    sys.exit(main())

"""Prints the score on both halves of the corpus: ``python -m tests.corpus``."""

from __future__ import annotations

from tests.corpus import HERE, PARTS, score

for part in PARTS:
    results = score(part)
    total = sum(map(len, results.values()))
    right, wrong, unknown = (len(results[name]) for name in ("right", "wrong", "unknown"))
    print(f"{part}: {total} logs, {right} right ({right / total:.0%}), {wrong} wrong fatal, "
          f"{unknown} unknown")  # fmt: skip
    print("  " + (HERE / part / "about.txt").read_text("utf-8").strip())
    if part == "open":
        for result in (*results["wrong"], *results["unknown"]):
            print(f"  {result.verdict:8}{result.case.name}: {result.case.expect}, {result.told}")

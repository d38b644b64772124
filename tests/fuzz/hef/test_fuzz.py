"""A bounded run of the fuzz target; the long one is made by hand (see ``fuzz_hef.py``)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.hef.seeds import write_seeds

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = int(os.environ.get("HEFSMITH_FUZZ_SECONDS", "120"))


@pytest.mark.engine
@pytest.mark.timeout(SECONDS + 180)
def test_two_minutes_of_fuzzing_find_nothing(tmp_path: Path, repository: Path) -> None:
    corpus = tmp_path / "corpus"
    seeds = write_seeds(corpus)
    assert seeds > 30
    target = repository / "tests" / "fuzz" / "hef" / "fuzz_hef.py"
    run = subprocess.run(
        [
            # Through a shell that stays: a program keeps the peak memory of what it was forked
            # from, and the fuzzer would take ours for its own.
            "sh",
            "-c",
            '"$@"; exit $?',
            "sh",
            sys.executable,
            str(target),
            f"-max_total_time={SECONDS}",
            "-max_len=65536",
            "-timeout=30",
            "-rss_limit_mb=512",
            "-print_final_stats=1",
            f"-artifact_prefix={tmp_path}/crash-",
            str(corpus),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    tail = run.stderr[-4000:]
    assert run.returncode == 0, tail
    assert not list(tmp_path.glob("crash-*")), tail
    count = re.search(r"stat::number_of_executed_units:\s+(\d+)", run.stderr)
    assert count is not None, tail
    assert int(count[1]) > 10 * SECONDS

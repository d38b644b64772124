"""Much of everything: memory and open files stay as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("forks processes, and Windows has no fork", allow_module_level=True)

LOOP = """
import os, sys
from pathlib import Path
import psutil
from tests.chaos.builds import Place
from tests.unit.matrix import trivial

place = Place.make(Path(sys.argv[1]))
os.chdir(place.root)
os.environ.update(place.environ())
trivial.install()
from orchestrator import Project

me = psutil.Process()
for number in range(1, 201):
    with Project(engine="local", fresh=bool(number % 2)) as project:
        project.build("one", arch="hailo8l")
    if number in (50, 200):
        print(me.memory_info().rss, me.num_fds(), me.num_threads())
"""


@pytest.mark.timeout(180)
def test_200_builds_in_a_loop_leave_memory_and_handles_as_they_are(
    tmp_path: Path, repository: Path
) -> None:
    # hefsmith as it is installed comes first, which need not be that of this folder.
    places = [*filter(None, sys.path[1:]), str(repository)]
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOOP, str(tmp_path / "project")],
        capture_output=True, text=True, cwd=repository, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
    )  # fmt: skip
    early, late = ([int(word) for word in line.split()] for line in done.stdout.splitlines())
    assert late[0] - early[0] < 10 << 20, (early, late)
    assert late[1:] == early[1:], "open files, threads"

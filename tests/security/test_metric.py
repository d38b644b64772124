"""The recipe's metric: code of the project, in a process and, where there is one, a box."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from orchestrator.engine import sandbox
from orchestrator.errors import ConfigError
from orchestrator.pipeline import metric
from orchestrator.pipeline.metric import load_metric

from .conftest import Tally

needs_box = pytest.mark.skipif(
    sandbox.boxed_program() is None, reason="bubblewrap is not here, or may not make namespaces"
)


@pytest.fixture(params=["box", "none"])
def box(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "none":
        monkeypatch.setattr(metric, "boxed_program", lambda: None)
    elif sandbox.boxed_program() is None:
        pytest.skip("bubblewrap is not here, or may not make namespaces")
    return str(request.param)


@pytest.mark.usefixtures("box")
def test_a_metric_is_loaded_from_the_recipes_folder(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("BASE = 40\n")
    (tmp_path / "metric.py").write_text(
        "from helper import BASE\nprint('noise')\n"
        "def score(reference, outputs, samples):\n"
        "    assert outputs[1][1].shape == (0, 6), outputs\n"
        "    return BASE + float(reference[0].sum()) + len(outputs[1]) + samples[0]['label']\n"
    )
    boxes = [np.zeros((2, 6)), np.zeros((0, 6))]
    given = ([np.ones((1, 2)), boxes], [np.ones((1, 2)), boxes])
    samples = [{"name": "a", "label": 1, "boxes": None}]
    assert load_metric("metric.py:score", tmp_path)(*given, samples) == 45
    assert load_metric("metric:score", tmp_path)(*given, samples) == 45


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metric", "not module:function"),
        ("missing.py:score", "cannot be imported"),
        ("broken.py:score", "ZeroDivisionError"),
        ("metric.py:other", "has no function other"),
        ("metric.py:raises", "failed: KeyError"),
        ("metric.py:odd", "failed: it returned nan"),
        ("metric.py:leaves", "ended with status 3"),
    ],
)
def test_a_metric_that_gives_no_number_is_a_mistake_in_the_recipe(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / "metric.py").write_text(
        "import os\ndef raises(a, b, c):\n    raise KeyError(1)\n"
        "def odd(a, b, c):\n    return float('nan')\ndef leaves(a, b, c):\n    os._exit(3)\n"
    )
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(ConfigError, match=text):
        load_metric(name, tmp_path)([], [], [])


@pytest.mark.usefixtures("box")
def test_a_metric_never_runs_in_the_process_of_hef(tmp_path: Path) -> None:
    """Without a box, too: it changes nothing in here, and sees no secret of the environment."""
    (tmp_path / "metric.py").write_text(
        "import os\ndef score(a, b, c):\n"
        f"    return float('HF_TOKEN' in os.environ or os.getpid() == {os.getpid()})\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", "secret")
        assert load_metric("metric.py:score", tmp_path)([], [], []) == 0.0


@needs_box
def test_a_metric_in_the_box_reaches_nothing(tmp_path: Path, tally: Tally) -> None:
    """The named hole: reading, writing, the network, and other processes of the user's machine."""
    folder, home = tmp_path / "clone", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    (home / "secret").write_text("mine")
    (folder / "data.txt").write_text("theirs")
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    # A Python that was built in the user's home is shown there, and nothing beside it.
    user = Path.home()
    pythons = {one.relative_to(user).parts[0] for one in sandbox.python_folders()
               if one.is_relative_to(user)}  # fmt: skip
    attacks = {
        "read": f"open({str(home / 'secret')!r}).read()",
        "write": f"open({str(home / 'new')!r}, 'w')",
        "remove": f"__import__('os').unlink({str(home / 'secret')!r})",
        "own folder": f"open({str(folder / 'new')!r}, 'w')",
        "passwords": "open('/etc/passwd').read()",
        "network": f"__import__('socket').create_connection(('127.0.0.1', {port}), 2)",
        "processes": f"__import__('os').kill({os.getpid()}, 0)",
        "home": f"set(__import__('os').listdir({str(user)!r})) - {pythons!r} or 1/0",
    }
    try:
        for what, code in attacks.items():
            (folder / "metric.py").write_text(f"def score(a, b, c):\n    {code}\n    return 1\n")
            try:
                load_metric("metric.py:score", folder)([], [], [])
            except ConfigError as error:
                tally.held(what, error.code == "metric.raised")
            else:
                tally.held(what, False)
    finally:
        server.close()
    tally.held("all", sorted(one.name for one in home.iterdir()) == ["secret"])
    (folder / "metric.py").write_text(
        f"def score(a, b, c):\n    return len(open({str(folder / 'data.txt')!r}).read())\n"
    )
    assert load_metric("metric.py:score", folder)([], [], []) == 6


def test_where_there_is_no_box_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    sandbox.boxed_program.cache_clear()
    try:
        assert [one.code for one in metric.told_of_the_box()] == ["metric.no-box"]
    finally:
        sandbox.boxed_program.cache_clear()

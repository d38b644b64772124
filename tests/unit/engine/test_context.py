"""Build contexts: what counts, what only helps, and how a Dockerfile is cut."""

from __future__ import annotations

import io
import tarfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from orchestrator import paths
from orchestrator.engine.base import ignore
from orchestrator.engine.context import (
    Blob,
    Context,
    cut_stage,
    emulator_tree,
    program_package,
    read_folder,
    read_pip_settings,
    runtime_tree,
    stage_lines,
    until_stage,
    wheel_entries,
)
from orchestrator.errors import EngineError

DOCKERFILE = """\
ARG BASE=x:1
FROM ${BASE} AS one
RUN a \\
    && b

FROM one as two
COPY a b
from two AS three
CMD ["c"]
"""


def test_a_stage_stands_alone_on_another_base() -> None:
    assert cut_stage(DOCKERFILE, "two", "img:9") == "FROM img:9 AS two\nCOPY a b\n"
    assert until_stage(DOCKERFILE, "one").endswith("    && b\n")
    assert sorted(stage_lines(DOCKERFILE)) == ["one", "three", "two"]
    with pytest.raises(EngineError, match="no stage 'four'"):
        cut_stage(DOCKERFILE, "four", "x")


def test_the_digest_counts_names_contents_and_modes_but_no_wheels() -> None:
    base = {"a": Blob(b"1"), "b": Blob(b"2")}
    digest = Context(base).digest
    assert Context(dict(reversed(base.items()))).digest == digest
    assert Context({**base, "docker/emulator/wheels/pip.conf": Blob(b"x")}).digest == digest
    for changed in (
        {"a": Blob(b"1"), "c": Blob(b"2")},
        {"a": Blob(b"1"), "b": Blob(b"3")},
        {"a": Blob(b"1", executable=True), "b": Blob(b"2")},
        {"a": Blob(b"1")},
    ):
        assert Context(changed).digest != digest


def test_what_is_left_behind_in_a_checkout_does_not_travel(tmp_path: Path) -> None:
    for name in ("a.py", "__pycache__/a.pyc", "b/.hidden", "b/c.pyc", "wheels/x.whl", "b/d.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (tmp_path / "run").write_text("#!/bin/sh\n")
    found = read_folder(tmp_path, "docker/x")
    assert sorted(found) == ["docker/x/a.py", "docker/x/b/d.txt", "docker/x/run"]
    assert found["docker/x/run"].executable
    assert not found["docker/x/a.py"].executable


def test_an_image_is_the_same_where_files_have_no_modes(tmp_path: Path) -> None:
    """Windows reports 0o666 for a script, and 0o777 for what ends in .exe."""
    for name, mode in (("linux", 0o755), ("windows", 0o666)):
        (tmp_path / name).mkdir()
        script = tmp_path / name / "hailortcli"
        script.write_text("#!/usr/bin/env python3\n")
        script.chmod(mode)
    assert Context(read_folder(tmp_path / "linux", "d")).digest == (
        Context(read_folder(tmp_path / "windows", "d")).digest
    )


def test_the_context_has_everything_that_the_dockerfile_copies() -> None:
    folder = paths.image_context("emulator")
    files = {
        **emulator_tree(folder, paths.worker_package(), program_package()),
        **runtime_tree(folder),
    }
    context = Context(files, wheel_entries((), folder))
    with tarfile.open(fileobj=io.BytesIO(b"".join(context.stream(ignore)))) as tar:
        names = {one.name for one in tar.getmembers()}
    text = (folder / "Dockerfile").read_text()
    stages = stage_lines(text)
    wanted = text.splitlines()[: stages["emulator"][1]]
    for line in wanted:
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert any(one == source or one.startswith(source + "/") for one in names), source


def test_only_pip_settings_that_mean_something_elsewhere_are_handed_on(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("CERT")
    listed = (
        f"global.cert='{ca}'\n"
        "global.extra-index-url='file:///here https://mirror.example/simple'\n"
        "global.find-links='/somewhere'\ninstall.timeout='99'\nfreeze.timeout='1'\n"
    )
    environ = {"PIP_INDEX_URL": "https://own.example/simple", "PIP_TRUSTED_HOST": "own.example"}
    files = read_pip_settings(environ, listed).files()
    assert files["docker/emulator/wheels/pip-ca.crt"].data == b"CERT"
    config = ConfigParser(interpolation=None)
    config.read_string(files["docker/emulator/wheels/pip.conf"].data.decode())
    assert dict(config["global"]) == {
        "index-url": "https://own.example/simple",
        "extra-index-url": "https://mirror.example/simple",
        "trusted-host": "own.example",
        "timeout": "99",
        "cert": "/build/wheels/pip-ca.crt",
    }


def test_without_settings_nothing_is_invented() -> None:
    assert read_pip_settings({}, "").files() == {}
    assert read_pip_settings({}, "global.cert='/no/such/file'").files() == {}
    assert read_pip_settings({"PIP_INDEX_URL": "file:///x"}, "nonsense\n=\n").files() == {}

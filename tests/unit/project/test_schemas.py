"""JSON schemas for editors: they say what the program itself checks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hefsmith_worker.contract import chips
from hefsmith_worker.contract.presets import PRESETS

from orchestrator.cli.app import run
from orchestrator.project.recipe import Recipe
from orchestrator.project.schemas import schema_of
from orchestrator.project.section import Section


def defined(schema: dict[str, object]) -> dict[str, object]:
    found = {"": schema}
    found.update(schema.get("$defs", {}))  # type: ignore[call-overload]
    return found


def test_every_section_of_a_recipe_is_closed_and_has_all_its_keys() -> None:
    from dataclasses import fields

    schema = schema_of("model")
    for name, part in defined(schema).items():
        if name:
            assert part["additionalProperties"] is False, name  # type: ignore[index]
    assert set(schema["properties"]) == {one.name for one in fields(Recipe)}
    assert issubclass(Recipe, Section)


def test_chips_and_presets_are_offered() -> None:
    text = json.dumps(schema_of("model"))
    for chip in chips.usable():
        assert f'"{chip.name}"' in text
    for preset in PRESETS:
        assert f'"{preset}"' in text


def test_a_chip_may_stand_alone() -> None:
    arch = schema_of("model")["properties"]["arch"]
    assert {one.get("type") for one in arch["anyOf"]} == {"string", "array"}


@pytest.mark.parametrize("name", ["model", "project"])
def test_the_command_prints_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "schema", name]) == 0
    assert json.loads(capsys.readouterr().out) == schema_of(name)


def test_another_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "schema", "modle"]) == 2
    assert "modle" in capsys.readouterr().err


def test_what_init_writes_refers_to_it_in_its_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").write_bytes(b"")
    line = "hailomz compile net --ckpt net.tflite --calib-path photos --hw-arch hailo8l"
    assert run(["init", "net", "--from-hailomz", line]) == 0
    for path in (tmp_path / "hef.yaml", tmp_path / "models" / "net" / "model.yaml"):
        first = path.read_text().splitlines()[0]
        start = "# yaml-language-server: $schema="
        assert first.startswith(start)
        assert (path.parent / first.removeprefix(start)).is_file()

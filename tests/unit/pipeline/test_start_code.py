"""Code that hef init cannot use alone: the command that it proposes runs where it is shown."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from orchestrator.cli import app as application  # noqa: E402

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)

    def forward(self, x):
        return self.conv(x)
"""


@pytest.mark.skipif("os.name == 'nt'", reason="the hint is written for that system's shells")
def test_the_command_of_a_hint_finds_weights_and_code_in_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("my runs", "src"):
        (tmp_path / folder).mkdir()
    code = tmp_path / "src" / "net.py"
    code.write_text(NET, encoding="utf-8")
    torch.save(
        {"conv.weight": torch.zeros(4, 3, 3, 3), "conv.bias": torch.zeros(4)}, "my runs/a.pt"
    )
    assert application.run(["init", "net", "--yes", "--no-run"]) == 2
    told = capsys.readouterr().err
    assert "needs arguments" in told
    proposed = next(line for line in told.splitlines() if "then: hef" in line)
    words = shlex.split(proposed.partition("then: hef ")[2])
    with code.open("a", encoding="utf-8") as file:
        file.write("\n\ndef build(): return Net(width=4)\n")
    assert application.run([*words, "--no-run"]) == 0
    recipe = (tmp_path / "models" / "net" / "model.yaml").read_text(encoding="utf-8")
    assert "../../my runs/a.pt" in recipe


def test_the_call_of_a_hint_has_the_arguments_that_are_known_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    wanting = NET.replace("width)", "width, depth, *, act)")
    code = f"{wanting}\n\ndef small(wide): return Net(wide, act='relu')\n"
    (tmp_path / "net.py").write_text(code, encoding="utf-8")
    torch.save({"conv.weight": torch.zeros(4, 3, 3, 3), "conv.bias": torch.zeros(4)}, "a.pt")
    assert application.run(["init", "a", "--torch", "net.py:Net", "--weights", "a.pt"]) == 2
    assert "def build(): return Net(width=..., depth=..., act='relu')" in capsys.readouterr().err


def test_a_tool_for_gray_pictures_does_not_make_a_network_of_three_channels_gray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET.replace("width)", "width=4)"), encoding="utf-8")
    tool = "from PIL import Image\nImage.open('a.png').convert('L').save('b.png')\n"
    (tmp_path / "tool.py").write_text(tool, encoding="utf-8")
    torch.save({"conv.weight": torch.zeros(4, 3, 3, 3), "conv.bias": torch.zeros(4)}, "a.pt")
    (tmp_path / "photos").mkdir()
    for number in range(4):
        Image.new("RGB", (48, 32), (60 * number, 9, 9)).save(f"photos/{number}.png")
    assert application.run(["init", "a", "--yes", "--no-run"]) == 0, capsys.readouterr().err
    recipe = (tmp_path / "models" / "a" / "model.yaml").read_text(encoding="utf-8")
    assert "color: rgb" in recipe
    assert "tool.py" not in recipe


@pytest.mark.parametrize(
    ("size", "right"),
    [("3,32,40", True), ("3,32,32", False), ("3,32", False), ("1,32,40", False), ("12", False)],
)
def test_a_size_that_the_file_does_not_have_is_not_passed_over(
    size: str,
    right: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    onnx = pytest.importorskip("onnx")
    make = onnx.helper
    monkeypatch.chdir(tmp_path)
    values = [
        make.make_tensor_value_info("x", 1, ["n", 3, "high", 40]),
        make.make_tensor_value_info("y", 1, ["n", 3, "high", 40]),
    ]
    graph = make.make_graph([make.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    onnx.save(make.make_model(graph, ir_version=8), "net.onnx")
    status = application.run(["init", "net.onnx", "--size", size, "--yes", "--no-run"])
    told = capsys.readouterr().err
    assert (status == 0) is right, told
    assert right or f"--size {size}: no input of net.onnx takes that; it has x 1x3x?x40" in told


@pytest.mark.parametrize("here", [True, False])
def test_a_function_that_makes_the_class_is_taken_where_its_arguments_are_not_known(
    here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    maker = "def build():\n    return Net(open('width.txt').read())\n"
    (tmp_path / "net.py").write_text(NET + ("\n\n" + maker if here else ""), encoding="utf-8")
    if not here:
        (tmp_path / "make.py").write_text(f"from net import Net\n\n\n{maker}", encoding="utf-8")
    torch.save({"conv.weight": torch.zeros(4, 3, 3, 3), "conv.bias": torch.zeros(4)}, "a.pt")

    assert application.run(["init", "a", "--yes", "--no-run"]) == 0, capsys.readouterr().err

    recipe = (tmp_path / "models" / "a" / "model.yaml").read_text(encoding="utf-8")
    assert ("net.py:build" if here else "make.py:build") in recipe


def test_of_two_classes_of_one_name_the_one_is_taken_that_the_weights_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, kernel in (("a_old", 5), ("lib", 3)):
        (tmp_path / folder).mkdir()
        text = NET.replace("width)", "width=4)").replace("3, width=4)", "3, width)")
        text = text.replace("nn.Conv2d(3, width, 3)", f"nn.Conv2d(3, width, {kernel})")
        (tmp_path / folder / "net.py").write_text(text, encoding="utf-8")
    torch.save({"conv.weight": torch.zeros(4, 3, 3, 3), "conv.bias": torch.zeros(4)}, "a.pt")
    assert application.run(["init", "a", "--yes", "--engine", "local"]) == 0, (
        capsys.readouterr().err
    )
    recipe = (tmp_path / "models" / "a" / "model.yaml").read_text(encoding="utf-8")
    assert "../../lib/net.py:Net" in recipe


def test_a_number_that_only_the_weights_tell_goes_into_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    torch.save({"conv.weight": torch.zeros(7, 3, 3, 3), "conv.bias": torch.zeros(7)}, "a.pt")
    assert application.run(["init", "a", "--yes", "--engine", "local"]) == 0, (
        capsys.readouterr().err
    )
    recipe = (tmp_path / "models" / "a" / "model.yaml").read_text(encoding="utf-8")
    assert "kwargs: {width: 7}" in recipe


def test_a_size_of_unknown_order_is_the_one_that_the_network_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(
        NET.replace("width)", "width=4)", 1).replace(
            "(x)\n", "(x)[:, :, :20, 80:].flatten(2)[..., 7]\n"
        )
    )
    (tmp_path / "train.py").write_text(
        "import argparse\nfrom net import Net\np = argparse.ArgumentParser()\n"
        "p.add_argument('--img_size', default=[94, 24])\n"
    )
    torch.save({"conv.weight": torch.zeros(4, 3, 3, 3), "conv.bias": torch.zeros(4)}, "net.pt")
    assert application.run(["init", "net", "--yes", "--engine", "local"]) == 0
    recipe = (tmp_path / "models" / "net" / "model.yaml").read_text(encoding="utf-8")
    assert "[1, 3, 24, 94]" in recipe


def test_code_that_fits_in_no_case_is_told_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("One", "Two"):
        text = NET.replace("Net", name).replace("width)", "width=4)")
        (tmp_path / f"{name.lower()}.py").write_text(text)
    torch.save({"conv.weight": torch.zeros(9, 9, 1, 1), "conv.bias": torch.zeros(9)}, "net.pt")
    line = ["init", "net", "--yes", "--engine", "local", "--size", "3,8,8"]
    assert application.run(line) == 2
    assert "Nor does another of the 2 that were tried (One, Two)" in capsys.readouterr().err


def test_code_with_all_of_its_parts_here_goes_before_a_part_of_an_absent_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fits = NET.replace("self.conv =", "self.neck = nn.Conv2d(3, 2, 1)\n        self.conv =")
    absent = fits.replace("nn.Conv2d(3, 2, 1)", "absent_kit.Neck()")
    (tmp_path / "a_port.py").write_text(f"import absent_kit\n{absent}def go():\n    Net(4)\n")
    weights = {"conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "neck.weight": (2, 3, 1, 1)}
    state = {name: torch.zeros(shape) for name, shape in {**weights, "neck.bias": (2,)}.items()}
    torch.save(state, "net.pt")
    line = ["init", "net", "--yes", "--engine", "local", "--size", "3,8,8"]
    assert application.run(line) == 0
    recipe = tmp_path / "models" / "net" / "model.yaml"
    assert "a_port.py:Net" in recipe.read_text(encoding="utf-8")
    (tmp_path / "b_own.py").write_text(f"{fits}def go():\n    Net(4)\n")
    assert application.run([*line, "--force"]) == 0
    assert "b_own.py:Net" in recipe.read_text(encoding="utf-8")

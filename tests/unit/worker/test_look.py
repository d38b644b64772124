"""The look at a network before there is a recipe: arguments, inputs and an opset that fit it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hefsmith_worker.events import Channel
from hefsmith_worker.protocol import StageError, read_plan
from hefsmith_worker.stages import look
from hefsmith_worker.workspace import Workspace

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

MODEL = """
import torch
from torch import nn


class Boxes(nn.Module):
    def __init__(self, classes=80, channels=3):
        super().__init__()
        self.body = nn.Conv2d(channels, 8, 3, stride=4)
        self.heads = nn.ModuleList([nn.Conv2d(8, 3 * (5 + classes), 1) for _ in range(2)])

    def forward(self, image):
        return [head(self.body(image)) for head in self.heads]


class Scaled(nn.Module):
    def __init__(self, factor, repeat=1):
        super().__init__()
        self.up = nn.Sequential(nn.Conv2d(3, 3 * factor ** 2, 3), nn.PixelShuffle(factor))

    def forward(self, image):
        return self.up(image)


class Grown(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.body, self.factor = nn.Conv2d(3, 4, 3), factor

    def forward(self, image):
        return self.body(image).repeat(1, self.factor, 1, 1)


def fetches(pretrained=True):
    net = Boxes(classes=3)
    if pretrained:
        state = torch.hub.load_state_dict_from_url("http://127.0.0.1:9/net-12345678.pth")
        del state["head.weight"]
        known = {key: value for key, value in state["model"].items() if "head" not in key}
        net.load_state_dict(state)
        net.body.load_state_dict({**net.body.state_dict(), **known})
    return net


def reads(trained=True):
    net = Boxes(classes=3)
    if trained:
        state = torch.load("backbone/of_its_owner.pth", map_location="cpu")
        own = net.state_dict()
        net.load_state_dict({key: value for key, value in state.items() if key in own})
    return net


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, image):
        return self.encoder(self.patches(image).flatten(2).transpose(1, 2)).mean(1)


class Focused(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(12, 8, 3)

    def forward(self, x):
        even, odd = x[..., ::2], x[..., 1::2]
        return self.body(torch.cat([one[..., at::2, :] for one in (even, odd) for at in (0, 1)], 1))


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3)

    def forward(self, image, mask):
        return self.body(image) if mask else image


class Fused(nn.Module):
    def __init__(self):
        super().__init__()
        self.colour = nn.Conv2d(3, 8, 3)
        self.far = nn.Conv2d(1, 4, 3)
        self.speed = nn.Linear(5, 4)

    def forward(self, depth, image, speed):
        seen = torch.cat((self.colour(image), self.far(depth)), 1).mean((2, 3))
        return torch.cat((seen, self.speed(speed)), 1)


class Joined(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(4, 8, 3)

    def forward(self, depth, rgb):
        return self.body(torch.cat((rgb, depth), 1))


class OnGpu(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3)

    def forward(self, image):
        if not torch.cuda.is_available():
            raise AssertionError("Torch not compiled with CUDA enabled")
        return self.body(image)


class Fourier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3)

    def forward(self, image):
        return torch.fft.rfft2(self.body(image)).abs()


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3)

    def forward(self, before, after, scale=1.0):
        return (self.body(before) - self.body(after)).mean((2, 3)) * scale
"""


def seen(
    folder: Path,
    name: str,
    guessed: list[str] | None = None,
    unstated: str = "",
    channels: int = 3,
    **kwargs: int,
) -> Any:
    """Look at a network of the class whose weights lie there."""
    source = {
        "kind": "torch",
        "file": "source/model.py",
        "factory": name,
        "kwargs": kwargs,
        "trust_pickle": False,
        "weights": "net.pt",
    }
    plan = {
        "schema": 1, "model": "net", "arch": "hailo8l", "net_name": "net",
        "hef_name": "model.hef", "stages": ["look"],
        "parameters": {
            "export": {"source": source, "exporter": "legacy", "opset": 13},
            "look": {
                "inputs": [{"image": [1, channels, 32, 32]}], "classes": 0, "guessed": guessed,
                "unstated": unstated,
            },
        },
    }  # fmt: skip
    work = folder / "work"
    work.mkdir()
    (work / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    channel = Channel(io.BytesIO())
    return look.run(Workspace(read_plan(work / "plan.json", folder / "in", work), channel))


def saved(folder: Path, name: str, **kwargs: int) -> None:
    (folder / "in" / "source").mkdir(parents=True)
    (folder / "in" / "source" / "model.py").write_text(MODEL, encoding="utf-8")
    namespace: dict[str, Any] = {}
    exec(compile(MODEL, "model.py", "exec"), namespace)
    torch.manual_seed(0)
    torch.save(namespace[name](**kwargs).state_dict(), folder / "in" / "net.pt")


@pytest.mark.parametrize("trained", [3, 80])
def test_the_number_of_classes_is_that_for_which_the_weights_fit(
    trained: int, tmp_path: Path
) -> None:
    # The last layer has 3 * (5 + classes) outputs, and what their number suggests is no class.
    saved(tmp_path, "Boxes", classes=trained)
    found = seen(tmp_path, "Boxes", ["classes"], classes=3 * (5 + trained))
    assert found["kwargs"] == ({} if trained == 80 else {"classes": 3})


def test_what_is_stated_is_not_changed_and_what_fits_nothing_is_told(tmp_path: Path) -> None:
    saved(tmp_path, "Boxes", classes=3)
    with pytest.raises(StageError, match=r"do not fit the network: heads\.0\.weight is \[24, "):
        seen(tmp_path, "Boxes", [], classes=4)


def test_channels_that_no_number_of_classes_makes_up_for(tmp_path: Path) -> None:
    saved(tmp_path, "Boxes", classes=3, channels=1)
    with pytest.raises(StageError, match="do not fit the network"):
        seen(tmp_path, "Boxes", ["classes"], classes=24)


@pytest.mark.parametrize("factor", [1, 3, 4])
def test_a_number_that_nobody_states_is_told_by_the_sizes_of_layers(
    factor: int, tmp_path: Path
) -> None:
    saved(tmp_path, "Scaled", factor=factor)
    found = seen(tmp_path, "Scaled", unstated="factor")
    assert found["kwargs"] == {"factor": factor}
    assert found["outputs"] == [[1, 3, 30 * factor, 30 * factor]]


@pytest.mark.parametrize(("name", "unstated"), [("Grown", "factor"), ("Scaled", "repeat")])
def test_a_number_of_which_the_sizes_say_nothing_is_not_made_up(
    name: str, unstated: str, tmp_path: Path
) -> None:
    saved(tmp_path, name, factor=2)
    known = {"factor": 2} if unstated != "factor" else {}
    with pytest.raises(StageError, match=f"no number fits for {unstated}"):
        seen(tmp_path, name, unstated=unstated, **known)


@pytest.mark.parametrize("name", ["fetches", "reads"])
def test_weights_that_the_own_ones_replace_are_not_needed(name: str, tmp_path: Path) -> None:
    load = torch.nn.Module.load_state_dict, torch.hub.load_state_dict_from_url, torch.load
    saved(tmp_path, "Boxes", classes=3)
    assert seen(tmp_path, name)["outputs"][0] == [1, 24, 8, 8]
    assert (
        torch.nn.Module.load_state_dict,
        torch.hub.load_state_dict_from_url,
        torch.load,
    ) == load


def test_weights_that_nothing_replaces_are_fetched(tmp_path: Path) -> None:
    from hefsmith_worker.stages import spared

    assert spared.Fetched()["model"] == {}
    with spared.downloads(False), pytest.raises(OSError, match="refused"):
        torch.hub.load_state_dict_from_url("http://127.0.0.1:9/net-12345678.pth")


def test_a_network_that_makes_other_channels_of_a_picture_is_given_its_own(tmp_path: Path) -> None:
    saved(tmp_path, "Focused")
    told = seen(tmp_path, "Focused", channels=12)
    assert told["runs"] == [{"image": [1, 3, 32, 32]}]


def test_an_encoder_is_exported_with_the_first_opset_that_has_its_operators(
    tmp_path: Path,
) -> None:
    saved(tmp_path, "Encoder")
    found = seen(tmp_path, "Encoder")
    assert found["export"] == {"exporter": "legacy", "opset": 14}
    assert found["outputs"] == [[1, 16]]


def test_each_argument_that_forward_must_be_given_gets_a_picture(tmp_path: Path) -> None:
    saved(tmp_path, "Pair")
    found = seen(tmp_path, "Pair")
    assert found["runs"] == [{"before": [1, 3, 32, 32], "after": [1, 3, 32, 32]}]
    assert found["export"] == {"exporter": "legacy", "opset": 13}


@pytest.mark.skipif("torch.cuda.is_available()", reason="there is a GPU")
def test_a_network_that_asks_for_a_gpu_is_not_asked_for_its_size(tmp_path: Path) -> None:
    saved(tmp_path, "OnGpu")
    with pytest.raises(StageError) as caught:
        seen(tmp_path, "OnGpu")
    assert ".to(x.device)" in caught.value.fix
    assert "--size" not in caught.value.fix


def test_inputs_of_several_kinds_are_found_by_what_the_layers_take(tmp_path: Path) -> None:
    saved(tmp_path, "Fused")
    assert seen(tmp_path, "Fused")["runs"] == [
        {"depth": [1, 1, 32, 32], "image": [1, 3, 32, 32], "speed": [1, 5]}
    ]


def test_names_tell_which_of_two_inputs_has_one_channel(tmp_path: Path) -> None:
    saved(tmp_path, "Joined")
    assert seen(tmp_path, "Joined")["runs"] == [{"depth": [1, 1, 32, 32], "rgb": [1, 3, 32, 32]}]


def test_a_network_of_several_inputs_that_cannot_be_tried_is_told_each_by_its_name(
    tmp_path: Path,
) -> None:
    saved(tmp_path, "Masked")
    with pytest.raises(StageError) as caught:
        seen(tmp_path, "Masked")
    assert "inputs: {image: [1, C, H, W], mask: [1, C, H, W]}" in caught.value.fix
    assert "--size" not in caught.value.fix


def test_what_helps_the_export_says_how_a_recipe_comes_about(tmp_path: Path) -> None:
    saved(tmp_path, "Fourier")
    with pytest.raises(StageError, match="exporter failed") as caught:
        seen(tmp_path, "Fourier")
    assert "hef init --no-run" in caught.value.fix
    assert "exporter: dynamo" in caught.value.fix

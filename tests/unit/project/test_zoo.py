"""Model Zoo YAMLs and hailomz command lines become recipes, and hef init writes them."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from orchestrator.cli.app import run
from orchestrator.errors import ConfigError
from orchestrator.project.checking import section_from
from orchestrator.project.loading import load_recipe
from orchestrator.project.recipe import Recipe
from orchestrator.project.workspace import open_workspace
from orchestrator.project.zoo import load_zoo_yaml, parse_hailomz, recipe_from_zoo

BASE = """\
parser: {normalization_params: {normalize_in_net: false, mean_list: null, std_list: null}}
preprocessing: {meta_arch: null, padding_color: 0, input_shape: null}
evaluation: {classes: 1, dataset_name: coco, data_set: "${paths.sets}/coco.tfrecord"}
quantization: {calib_set: ["${evaluation.data_set}"]}
info: {task: N/A, supported_hw_arch: [hailo8, hailo8l]}
paths: {sets: data}
"""
YOLO = """\
base: [base/base.yaml]
preprocessing: {meta_arch: yolo_v5, padding_color: 114, input_shape: [640, 640, 3]}
postprocessing: {nms_iou_thresh: 0.7, score_threshold: 0.001, hpp: true}
evaluation: {classes: 80}
info: {task: object detection}
"""
NETWORK = """\
base: [base/yolo.yaml]
network: {network_name: my_yolo.v8}
paths: {alls_script: my.alls, network_path: [zoo/yolov8n.onnx]}
parser:
  nodes: [null, [/head/a, /head/b]]
postprocessing: {nms_max_output_per_class: 300, device_pre_post_layers: {nms: true}}
"""
ALLS = """\
normalization1 = normalization([0.0, 0.0, 0.0], [255.0, 255.0, 255.0])
nms_postprocess("../../postprocess_config/my.json", meta_arch=yolov8, engine=cpu)
"""


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A Model Zoo's cfg folder with one network and its script."""
    cfg = tmp_path / "cfg"
    files = {
        "base/base.yaml": BASE,
        "base/yolo.yaml": YOLO,
        "networks/my.yaml": NETWORK,
        "alls/generic/my.alls": ALLS,
        "postprocess_config/my.json": json.dumps({"classes": 80, "bbox_decoders": []}),
    }
    for name, text in files.items():
        path = cfg / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return cfg / "networks" / "my.yaml"


def test_bases_are_merged_first_and_references_are_resolved(zoo: Path) -> None:
    document, notes = load_zoo_yaml(zoo)
    assert notes == []
    assert document["preprocessing"]["padding_color"] == 114
    assert document["postprocessing"] == {
        "nms_iou_thresh": 0.7, "score_threshold": 0.001, "hpp": True,
        "nms_max_output_per_class": 300, "device_pre_post_layers": {"nms": True},
    }  # fmt: skip
    assert document["evaluation"]["classes"] == 80
    assert "base" not in document


def test_a_command_and_its_yaml_become_a_whole_recipe(zoo: Path, tmp_path: Path) -> None:
    command = parse_hailomz(
        f"hailomz compile --ckpt best.onnx --calib-path photos --yaml {zoo} "
        "--classes 3 --hw-arch hailo8l --performance"
    )
    document, _ = load_zoo_yaml(zoo)
    made = recipe_from_zoo(document, folder=zoo.parent, command=command)
    assert made.name == "my_yolo_v8"
    assert made.recipe == {
        "schema": 1,
        "source": {"onnx": "best.onnx"},
        "preprocessing": {
            "size": [640, 640], "resize": "letterbox", "pad": 114,
            "mean": [0.0] * 3, "std": [255.0] * 3, "normalize": "chip",
        },
        "parser": {"end_nodes": ["/head/a", "/head/b"]},
        "calibration": {"source": "photos"},
        "optimization": {
            "script_file": (zoo.parent.parent / "alls/generic/my.alls").as_posix(),
            "script": ["performance_param(compiler_optimization_level=max)"],
        },
        "arch": ["hailo8l"],
        "postprocess": {
            "task": "detection",
            "nms": {
                "score": 0.001, "iou": 0.7, "max_boxes": 300, "classes": 3,
                "config": (tmp_path / "cfg/postprocess_config/my.json").resolve().as_posix(),
            },
        },
    }  # fmt: skip
    assert made.notes == ()
    section_from(made.recipe, Recipe)


def test_what_the_zoo_does_not_say_is_a_note(tmp_path: Path) -> None:
    alone = tmp_path / "alone.yaml"
    alone.write_text(NETWORK, encoding="utf-8")
    document, notes = load_zoo_yaml(alone)
    assert notes == ["base/yolo.yaml is not beside alone.yaml: what it says is not known here"]
    made = recipe_from_zoo(document, folder=tmp_path)
    assert made.recipe["source"] == {"onnx": "zoo/yolov8n.onnx"}
    assert [note.split(":")[0] for note in made.notes] == [
        "my.alls is not here",
        "no --ckpt",
        "mean and std are not known here",
        "no calibration pictures are named",
    ]
    section_from(made.recipe, Recipe)


def test_nodes_of_the_command_go_before_those_of_the_yaml(zoo: Path) -> None:
    document, _ = load_zoo_yaml(zoo)
    command = parse_hailomz("compile m --start-node-names in --end-node-names x y z")
    assert recipe_from_zoo(document, command=command).recipe["parser"] == {
        "start_nodes": ["in"], "end_nodes": ["x", "y", "z"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("hailomz compile", "model name or --yaml"),
        ("hailomz compile a --yaml b.yaml", "not both"),
        ("hailomz bake a", "invalid choice"),
        ("hailomz compile a --turbo", "unrecognized arguments: --turbo"),
        ("hailomz compile a --har x.har", "--har"),
        ("hailomz compile 'a", "cannot be read"),
        ("hailomz compile a --classes many", "invalid int"),
    ],
)
def test_a_line_that_hailomz_would_refuse_is_an_error(command: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_hailomz(command)


def test_bases_in_a_circle_are_an_error(tmp_path: Path) -> None:
    for name, base in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.yaml").write_text(f"base: [{base}.yaml]", encoding="utf-8")
    with pytest.raises(ConfigError, match="circle"):
        load_zoo_yaml(tmp_path / "a.yaml")


# hef init.


def classifier(path: Path, classes: int = 10) -> None:
    """A network of one convolution, a mean and a softmax."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 3, 3, 3], [0.1] * 108)
    matrix = helper.make_tensor("m", TensorProto.FLOAT, [4, classes], [0.1] * 4 * classes)
    nodes = [
        helper.make_node("Conv", ["picture", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["l"]),
        helper.make_node("Softmax", ["l"], ["s"], axis=1),
    ]
    inputs = [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 48, 64])]
    outputs = [helper.make_tensor_value_info("s", TensorProto.FLOAT, [1, classes])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weight, matrix])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project that is the current folder; networks are looked at on this machine."""
    monkeypatch.setenv("HEFSMITH_ENGINE", "local")
    root = tmp_path / "project"
    (root / "models").mkdir(parents=True)
    (root / "hef.yaml").write_text("", encoding="utf-8")
    (root / "photos").mkdir()
    monkeypatch.chdir(root)
    return root


@pytest.mark.slow
def test_init_writes_what_the_graph_says_and_the_loader_reads_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier(project / "net.onnx")
    assert run(["init", "things", "--onnx", "net.onnx", "--calib", "photos", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["head"]["task"] == "classification"
    target = project / "models" / "things" / "model.yaml"
    assert "# Found in the graph: classification" in target.read_text(encoding="utf-8")
    recipe = load_recipe(target).recipe
    assert recipe.inputs == {"picture": (1, 3, 48, 64)}
    assert recipe.source.onnx == "../../net.onnx"
    assert recipe.postprocess.task == "classification"
    assert recipe.preprocessing.size == (48, 64)  # type: ignore[union-attr]
    assert run(["init", "things", "--onnx", "net.onnx"]) == 2
    assert run(["init", "things", "--onnx", "net.onnx", "--force"]) == 0
    assert "--force replaces it" in capsys.readouterr().err


def test_init_from_hailomz_takes_the_networks_own_size(project: Path, zoo: Path) -> None:
    classifier(project / "net.onnx")
    line = f"hailomz compile --ckpt net.onnx --calib-path photos --yaml {zoo} --hw-arch hailo8"
    assert run(["init", "mine", "--from-hailomz", line]) == 0
    text = (project / "models" / "mine" / "model.yaml").read_text(encoding="utf-8")
    recipe = section_from(yaml.safe_load(text), Recipe)
    assert recipe.preprocessing.size == (48, 64)  # type: ignore[union-attr]
    assert recipe.arch == ("hailo8",)
    assert recipe.calibration.source == "../../photos"
    assert "# NOTE: the network's own input is 48 x 64" in text
    # What the zoo's files say stays there; the build reads them.
    assert recipe.source.weights == "../../net.onnx"
    assert (project / "models" / "mine" / str(recipe.source.zoo)).resolve() == zoo
    full = open_workspace(project).recipe("mine").recipe
    assert full.source.onnx == str(project / "net.onnx")
    assert full.parser.end_nodes == ("/head/a", "/head/b")
    assert full.optimization.script == (ALLS.splitlines()[1],)


def test_init_by_a_networks_name_says_only_what_the_command_says(project: Path) -> None:
    line = "hailomz compile yolov8n --ckpt best.pt --calib-path photos --classes 3 --performance"
    assert run(["init", "byname", "--from-hailomz", line + " --hw-arch hailo8l"]) == 0
    text = (project / "models" / "byname" / "model.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == {
        "schema": 1,
        "source": {"zoo": "yolov8n", "weights": "best.pt"},
        "calibration": {"source": "../../photos"},
        "optimization": {"script": ["performance_param(compiler_optimization_level=max)"]},
        "arch": ["hailo8l"],
        "postprocess": {"nms": {"classes": 3}},
    }


def test_init_for_torch_names_factory_and_weights(project: Path) -> None:
    (project / "net.py").write_text("", encoding="utf-8")
    (project / "net.pt").write_bytes(b"\x80\x02}.")  # the beginning of one is enough
    arguments = ["init", "t", "--torch", "net.py:build", "--weights", "net.pt", "--size", "1,28,28"]
    arguments.append("--no-run")
    assert run(arguments) == 0
    recipe = load_recipe(project / "models" / "t" / "model.yaml").recipe
    assert (recipe.source.torch, recipe.source.weights) == ("../../net.py:build", "../../net.pt")
    assert recipe.inputs == {"image": (1, 1, 28, 28)}
    assert recipe.preprocessing.color == "gray"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "arguments",
    [
        ["9lives", "--onnx", "net.onnx"],
        ["m"],
        ["m", "--onnx", "net.onnx", "--torch", "a.py:f"],
        ["m", "--onnx", "nowhere.onnx"],
        ["m", "--onnx", "hef.yaml"],
        ["m", "--torch", "net"],
        ["m", "--torch", "gone.py:f"],
        ["m", "--from-hailomz", "hailomz compile x --hw-arch tpu"],
    ],
)
def test_init_refuses_what_makes_no_recipe(
    project: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", *arguments]) == 2
    assert "error: " in capsys.readouterr().err
    assert list((project / "models").iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        "hailomz compile yolov8n --ckpt net.onnx --hw-arch hailo8",
        "hailomz compile --ckpt net.onnx --hw-arch hailo8 yolov8n",
        "hailomz compile --ckpt=net.onnx --hw_arch=hailo8 yolov8n",
        "compile --hw_arch hailo8 --ckpt net.onnx yolov8n --performance",
        "hailomz eval yolov8n --ckpt net.onnx --target emulator --data-count 9 --hw-arch hailo8",
    ],
)
def test_a_command_line_counts_in_each_of_its_forms(line: str) -> None:
    found = parse_hailomz(line)
    assert (found.model, found.arch) == ("yolov8n", "hailo8")
    assert found.checkpoint == Path("net.onnx")


def test_what_a_build_lacks_is_said_by_init_in_the_same_words(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "best.onnx").write_bytes(b"")
    (project / "photos").mkdir(exist_ok=True)
    line = "hailomz compile yolov8n --ckpt best.pt --calib-path photos --hw-arch hailo8l"
    assert run(["init", "mine", "--from-hailomz", line]) == 0
    at_init = capsys.readouterr().err
    assert run(["build", "mine"]) == 2
    at_build = capsys.readouterr().err
    words = "yolov8n by its name is inside Hailo's suite"
    assert words in at_init
    assert words in at_build
    assert "hef init mine --force --weights" in at_init

"""The call sequences of programs that drive the vendor's compiler, in our words.

Each was read in a public repository (named where it is known) and runs to its end on the
emulator: the vendor's Model Zoo, its tutorials, an exporter, and what users wrote.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

MAGIC = b"\x01HEF"
SCALE = "normalization1 = normalization([0.0, 0.0, 0.0], [255.0, 255.0, 255.0])\n"


@dataclass
class Bench:
    """A folder with ``net.onnx`` (a classifier), ``yolo.onnx`` (three heads), ``pair.onnx``."""

    folder: Path
    models: Any

    @property
    def onnx(self) -> str:
        return str(self.folder / "net.onnx")

    @property
    def yolo(self) -> str:
        return str(self.folder / "yolo.onnx")

    def pictures(self, side: int = 16, count: int = 12, kind: Any = np.uint8) -> Any:
        found = np.random.default_rng(1).integers(0, 256, (count, side, side, 3))
        return found.astype(kind)

    def runner(self, **given: Any) -> Any:
        from hailo_sdk_client import ClientRunner

        return ClientRunner(**given)

    def parsed(self, arch: str = "hailo8l") -> Any:
        made = self.runner(hw_arch=arch)
        made.translate_onnx_model(self.onnx, "net", net_input_shapes={"image": [1, 3, 16, 16]})
        return made

    def har(self, name: str, runner: Any) -> str:
        path = str(self.folder / name)
        runner.save_har(path)
        return path


HEADS = [f"/model.22/cv{b}.{s}/cv{b}.{s}.2/Conv" for s in range(3) for b in (2, 3)]
SEQUENCES: list[Callable[[Bench], Any]] = []


def sequence(function: Callable[[Bench], Any]) -> Callable[[Bench], Any]:
    SEQUENCES.append(function)
    return function


@sequence
def zoo_parses_optimises_and_compiles(b: Bench) -> Any:
    """hailo_model_zoo v2.18 and v5.2: parse, optimize, compile, a HAR between each."""
    from hailo_sdk_client import ClientRunner
    from hailo_sdk_client.exposed_definitions import States
    from hailo_sdk_client.tools.parser_cli import NetParser

    runner = ClientRunner(hw_arch="hailo8l")
    parser = NetParser(argparse.ArgumentParser(description="parser"))
    parser.runner = runner
    wanted = argparse.Namespace(
        net_name="net", input_framework="onnx", input_format={}, model_path=b.onnx, y=True,
        tensor_shapes={"image": [1, 3, 16, 16]}, start_node_names=None, end_node_names=None,
        hw_arch="hailo8l", har_path=None, augmented_path=None, parsing_report_path=None,
        disable_rt_metadata_extraction=False, disable_onnx_simplifier=False, compare=False,
    )  # fmt: skip
    parser.run(wanted, save_model=False)
    har = b.folder / "net.har"
    runner.save_har(har)
    runner = ClientRunner(hw_arch="hailo8l", har=har)
    assert runner.state == States.HAILO_MODEL
    script = b.folder / "net.alls"
    script.write_text(SCALE, encoding="utf-8")
    height, width, channels = runner.get_native_hn_model().get_input_shapes(ignore_conversion=True)[
        0
    ][1:4]
    assert not runner.get_hn_model().is_transposed()
    assert runner.modifications_meta_data.inputs == {}
    shapes = [
        layer.output_shape
        for layer in runner.get_hn_model().get_output_layers(remove_non_neural_core_layers=False)
    ]
    assert (height, width, channels, len(shapes)) == (16, 16, 3, 1)
    data = [(picture, {"image_name": b"x"}) for picture in b.pictures()]
    runner.load_model_script(script)
    runner.optimize_full_precision(calib_data=lambda: data)
    runner.optimize(lambda: data)
    runner.save_har(har)
    runner = ClientRunner(hw_arch="hailo8l", har=har)
    runner.load_model_script("performance_param(compiler_optimization_level=max)", append=True)
    hef = runner.compile()
    runner.save_har(har)
    assert runner.state == States.COMPILED_MODEL
    return hef


@sequence
def zoo_takes_the_proposed_end_nodes(b: Bench) -> Any:
    """hailo_model_zoo: ``-y`` parses again where the parser proposes to cut."""
    from hailo_sdk_client.tools.parser_cli import NetParser

    model = b.models.yolov8(tail=True)
    onnx.save(model, b.folder / "tail.onnx")
    parser = NetParser(argparse.ArgumentParser())
    parser.run(
        argparse.Namespace(
            model_path=str(b.folder / "tail.onnx"), net_name="tail", y=True, hw_arch="hailo8l",
            har_path=str(b.folder / "tail.har"), start_node_names=None, end_node_names=None,
            tensor_shapes=None,
        )
    )  # fmt: skip
    assert parser.runner is not None
    parser.runner.optimize(b.pictures(64))
    return parser.runner.compile()


@sequence
def zoo_resizes_and_converts_on_the_command_line(b: Bench) -> Any:
    """hailo_model_zoo: ``--resize`` and ``--input-conversion`` are lines without a layer."""
    runner = b.parsed()
    runner.load_model_script(SCALE)
    inputs = runner.get_hn_model().get_input_layers()
    names = ", ".join(f"{layer.scope}/resize_input{i}" for i, layer in enumerate(inputs, 1))
    runner.load_model_script(f"{names} = resize(resize_shapes=[32,32])", append=True)
    scope = inputs[0].scope
    runner.load_model_script(
        f"{scope}/input_conversion1, {scope}/yuv_to_rgb1 = "
        "input_conversion(nv12_to_rgb, emulator_support=True)",
        append=True,
    )
    data = np.random.default_rng(0).integers(0, 256, (12, 16, 32, 3), dtype=np.uint8)
    runner.optimize_full_precision(calib_data=data)
    kinds = [step.cmd_type for step in runner.modifications_meta_data.inputs["net/input_layer1"]]
    assert kinds == ["input_conversion", "resize", "normalization"]
    runner.optimize(data)
    return runner.compile()


@sequence
def zoo_reports_a_profile(b: Bench) -> Any:
    """hailo_model_zoo: ``profile``."""
    from hailo_sdk_client.tools.profiler.react_report_generator import ReactReportGenerator
    from hailo_sdk_common.logger.logger import DeprecationVersion, create_custom_logger

    logger = create_custom_logger("zoo.log", fmt=None, console=False)
    logger.deprecation_warning("it goes", DeprecationVersion.FUTURE)
    export = b.parsed().profile(should_use_logical_layers=True, hef_filename=None)
    page = b.folder / "net.html"
    table = ReactReportGenerator(export, page).create_report(should_open_web_browser=False)
    assert table
    assert "Emulated" in page.read_text(encoding="utf-8")


@sequence
def zoo_names_its_targets(b: Bench) -> Any:
    """hailo_model_zoo: names at the top of its modules."""
    from hailo_sdk_client import InferenceContext
    from hailo_sdk_client.exposed_definitions import JoinAction, JoinOutputLayersOrder
    from hailo_sdk_client.runner.client_runner import InvalidArgumentsException
    from hailo_sdk_client.tools.tf_proto_helper import TF_OPTIONAL_EXTENSIONS
    from hailo_sdk_common.hailo_nn.exceptions import UnsupportedModelError
    from hailo_sdk_common.hailo_nn.hn_definitions import ActivationTypes
    from hailo_sdk_common.targets.inference_targets import (
        ParamsKinds,
        SdkFPOptimized,
        SdkPartialNumeric,
    )

    assert isinstance(SdkFPOptimized(), SdkFPOptimized)
    assert not isinstance(SdkFPOptimized(), SdkPartialNumeric)
    assert ActivationTypes["sigmoid"].value == "sigmoid"
    assert issubclass(InvalidArgumentsException, Exception)
    assert issubclass(UnsupportedModelError, Exception)
    assert not b.onnx.endswith(TF_OPTIONAL_EXTENSIONS)
    named = (JoinAction.CUSTOM, JoinOutputLayersOrder.NEW_OUTPUTS_IN_PLACE, ParamsKinds.TRANSLATED)
    assert all(one.name for one in (*named, InferenceContext.SDK_QUANTIZED))


@sequence
def zoo_swaps_colours_in_the_weights(b: Bench) -> Any:
    """hailo_model_zoo: looks at the first kernel and its predecessors before it changes them."""
    runner = b.parsed()
    params = runner.get_params()
    assert params["net/conv1/kernel:0"].shape[2] == 3
    net = runner.get_hn_model()
    (before,) = net.predecessors(net.get_layer_by_name("conv1"))
    assert before.op.name == "input_layer"
    with pytest.raises(NotImplementedError, match="load_params"):
        runner.load_params(params)


@sequence
def exporter_of_ultralytics(b: Bench) -> Any:
    """ultralytics: heads by their layers, activation, NMS by a script of its own."""
    runner = b.runner(hw_arch="hailo8l")
    runner.translate_onnx_model(
        b.yolo, "yolo", end_node_names=HEADS, net_input_shapes={"images": [1, 3, 64, 64]}
    )
    layers = runner.get_hn_model().get_output_layers()
    heads = [layer.inputs[0].rsplit("/", 1)[-1] for layer in layers]
    lines = [SCALE.strip(), "model_optimization_flavor(optimization_level=2)"]
    lines += [f"change_output_activation({heads[i]}, sigmoid)" for i in range(1, len(heads), 2)]
    lines.append("post_quantization_optimization(finetune, policy=enabled, dataset_size=12)")
    lines.append("nms_postprocess(meta_arch=yolov8, engine=cpu, nms_scores_th=0.2, classes=3)")
    runner.load_model_script("\n".join(lines))
    runner.optimize(b.pictures(64, kind=np.float32))
    return runner.compile()


@sequence
def tutorial_of_the_vendor(b: Bench) -> Any:
    """Tutorials 1 to 3: parse, optimise in two steps, infer in three contexts, compile."""
    from hailo_sdk_client import ClientRunner, InferenceContext

    har = b.har("net_hailo_model.har", b.parsed())
    runner = ClientRunner(har=har)
    pictures = b.pictures()
    with runner.infer_context(InferenceContext.SDK_NATIVE) as ctx:
        native = runner.infer(ctx, pictures[:, :, :, :])
    runner.load_model_script(SCALE)
    runner.optimize_full_precision()
    with runner.infer_context(InferenceContext.SDK_FP_OPTIMIZED) as ctx:
        modified = runner.infer(ctx, pictures)
    runner.optimize(pictures)
    with runner.infer_context(InferenceContext.SDK_QUANTIZED) as ctx:
        quantized = runner.infer(ctx, pictures)
    assert native.shape == modified.shape == quantized.shape
    return ClientRunner(har=b.har("net_quantized.har", runner)).compile()


@sequence
def tutorial_of_noise_analysis(b: Bench) -> Any:
    """Tutorial 5, and a user's script: the noise of an archive, and the archive again."""
    runner = b.parsed()
    runner.optimize(b.pictures())
    har = b.har("q.har", runner)
    again = b.runner()
    again.load_har(har)
    np.save(b.folder / "data.npy", b.pictures())
    found = again.analyze_noise(str(b.folder / "data.npy"), batch_size=2, data_count=8)
    assert found
    assert again.analyze_noise(
        dataset=b.pictures(), batch_size=1, data_count=4, analyze_mode="advanced"
    )
    b.har("noise.har", again)


@sequence
def har_alone(b: Bench) -> Any:
    """alcino723/ONNX2HEF2AIHAT: translate with a name, save, print."""
    runner = b.runner(hw_arch="hailo8l")
    hn, npz = runner.translate_onnx_model(b.onnx, "Segformer")
    assert hn["name"] == "Segformer"
    assert npz
    b.har("Segformer.har", runner)


@sequence
def a_har_and_no_chip(b: Bench) -> Any:
    """OlegQm/manipulator_project, sp4ce-cowboy/smart-digital-junction: only ``har=``."""
    runner = b.parsed("hailo8")
    runner.load_model_script(SCALE)
    runner.optimize(b.pictures())
    again = b.runner(har=b.har("quantized.har", runner))
    assert again.hw_arch == "hailo8"
    return again.compile()


@sequence
def a_file_of_pictures_and_nms_by_keywords(b: Bench) -> Any:
    """smart-digital-junction: joined lines, an NMS without a file, ``np.load``."""
    runner = b.runner(hw_arch="hailo8l")
    runner.translate_onnx_model(
        b.yolo, "yolo", start_node_names=["images"], end_node_names=HEADS,
        net_input_shapes={"images": [1, 3, 64, 64]},
    )  # fmt: skip
    np.save(b.folder / "calib.npy", b.pictures(64))
    runner = b.runner(har=b.har("yolo.har", runner))
    nms = "nms_postprocess(meta_arch=yolov8, engine=cpu, nms_scores_th=0.2, nms_iou_th=0.4"
    alls = [SCALE, f"{nms}, classes=3)\n"]
    runner.load_model_script("".join(alls))
    runner.optimize(np.load(b.folder / "calib.npy"))
    return runner.compile()


@sequence
def a_folder_of_arrays(b: Bench) -> Any:
    """A generated compile script: the path of a folder with .npy files."""
    folder = b.folder / "calib"
    folder.mkdir()
    for number, picture in enumerate(b.pictures()):
        np.save(folder / f"{number}.npy", picture)
    runner = b.parsed()
    runner.optimize(str(folder))
    return runner.compile()


@sequence
def a_data_set_by_its_word(b: Bench) -> Any:
    """A training project: a data set of TensorFlow, its kind given as a word."""

    class Dataset:
        element_spec = ()

        def __iter__(self) -> Any:
            return iter([(picture, {}) for picture in b.pictures()])

    runner = b.parsed()
    runner.optimize(Dataset(), data_type="dataset")
    return runner.compile()


@sequence
def numbers_of_a_kind(b: Bench) -> Any:
    """An edge project: the kind of data as an enumeration, the path of the packages changed."""
    from hailo_sdk_client.exposed_definitions import CalibrationDataType
    from hailo_sdk_common.paths_manager.paths import SDKPaths

    SDKPaths()._is_release = True
    runner = b.runner(hw_arch="hailo8l")
    runner.translate_onnx_model(b.yolo, net_name="yolo", end_node_names=HEADS)
    again = b.runner(hw_arch="hailo8l", har=b.har("raw.har", runner))
    again.optimize(b.pictures(64, kind=np.float32) / 255, data_type=CalibrationDataType.np_array)
    return b.runner(hw_arch="hailo8l", har=b.har("q.har", again)).compile()


@sequence
def two_inputs_by_their_layers(b: Bench) -> Any:
    """An audio-visual network: a dict by the names of the parsed input layers."""
    runner = b.runner(hw_arch="hailo8")
    runner.translate_onnx_model(str(b.folder / "pair.onnx"), net_name="pair")
    first, second = [layer.name for layer in runner.get_hn_model().get_input_layers()]
    data = {
        first: b.pictures(8, kind=np.float32),
        second: np.random.default_rng(2).normal(0, 1, (12, 4)).astype(np.float32),
    }
    runner.load_model_script("model_optimization_flavor(optimization_level=0, compression_level=0)")
    runner.optimize(data)
    return runner.compile()


@sequence
def layers_of_the_private_network(b: Bench) -> Any:
    """Experiments with language models: layers of ``_hn``, counted by their kind."""
    runner = b.runner(hw_arch="hailo8l")
    runner.translate_onnx_model(b.onnx, "net", disable_onnx_simplifier=True)
    kinds: dict[str, int] = {}
    for layer in runner._hn:
        kinds[str(layer.op)] = kinds.get(str(layer.op), 0) + 1
        assert layer.name
        assert layer.input_shapes[0][0] == layer.output_shapes[0][0] == -1
    assert kinds["conv"] >= 1
    names = [layer.name for layer in runner._hn.get_input_layers()]
    runner.optimize_full_precision({names[0]: b.pictures()})
    runner.load_model_script("pre_quantization_optimization(equalization, policy=disabled)\n")
    runner.optimize({names[0]: b.pictures()})
    return runner.compile()


@sequence
def the_older_spelling(b: Bench) -> Any:
    """Two projects: ``har_path=`` and a script file."""
    har = b.har("net_fp32.har", b.parsed())
    (b.folder / "model_optimization.alls").write_text(SCALE, encoding="utf-8")
    runner = b.runner(har_path=har)
    runner.load_model_script(str(b.folder / "model_optimization.alls"))
    runner.optimize(b.pictures())
    return runner.compile()


@sequence
def optimising_inside_a_context(b: Bench) -> Any:
    """A converter service: ``optimize`` while a float context is open."""
    from hailo_sdk_client import InferenceContext

    runner = b.runner(har=b.har("net.har", b.parsed()), hw_arch="hailo8l")
    with runner.infer_context(InferenceContext.SDK_NATIVE):
        runner.optimize(b.pictures())
        b.har("q.har", runner)
    return runner.compile()


@sequence
def a_command_after_quantising(b: Bench) -> Any:
    """A point-cloud project: one placement line before the compilation of an archive."""
    runner = b.parsed()
    runner.optimize(b.pictures())
    again = b.runner(har=b.har("q.har", runner))
    again.load_model_script("context_switch_param(mode=disabled)")
    return again.compile()


@sequence
def heads_of_a_failed_build(b: Bench) -> Any:
    """A user's notes: the real names of the heads, for the NMS file."""
    runner = b.runner(hw_arch="hailo8l")
    runner.translate_onnx_model(b.yolo, "yolo", end_node_names=HEADS)
    again = b.runner(har=b.har("yolo.har", runner))
    names = [layer.name_without_scope for layer in again.get_hn_model().get_real_output_layers()]
    decoders = [
        {"name": f"d{s}", "stride": s, "reg_layer": reg, "cls_layer": cls}
        for s, reg, cls in zip((8, 16, 32), names[::2], names[1::2], strict=True)
    ]
    document = {
        "nms_scores_th": 0.2, "nms_iou_th": 0.7, "image_dims": [64, 64], "classes": 3,
        "max_proposals_per_class": 100, "regression_length": 16, "bbox_decoders": decoders,
    }  # fmt: skip
    (b.folder / "nms.json").write_text(json.dumps(document), encoding="utf-8")
    path = b.folder / "nms.json"
    again.load_model_script(f'{SCALE}nms_postprocess("{path}", meta_arch=yolov8, engine=cpu)\n')
    again.optimize(b.pictures(64))
    return again.compile()


@sequence
def shapes_out_of_the_description(b: Bench) -> Any:
    """A benchmark and a tutorial: shapes by the layers' original names."""
    runner = b.runner(hw_arch="hailo8", har=b.har("net.har", b.parsed("hailo8")))
    found = {
        layer["original_names"][0]: list(layer["input_shapes"][0])
        for layer in runner.get_hn_dict()["layers"].values()
        if layer["type"] in ("input_layer", "output_layer")
    }
    assert found["image"] == [-1, 16, 16, 3]
    assert json.loads(runner.get_hn_str())["layers"]["net/input_layer1"]
    assert runner.model_summary().count("\n") >= 2
    runner.save_params(b.folder / "params.npz")
    assert "net/conv1/kernel:0" in np.load(b.folder / "params.npz")
    assert set(runner._original_model_meta["inputs"]) == {"image"}


@sequence
def starting_at_a_convolution(b: Bench) -> Any:
    """Projects that cut the input side: a start node that is a Conv."""
    runner = b.runner(hw_arch="hailo8l")
    runner.translate_onnx_model(b.onnx, "part", start_node_names=["/c2/Conv"])
    (layer,) = runner.get_hn_model().get_input_layers()
    data = np.random.default_rng(0).random((12, *layer.output_shape[1:])).astype(np.float32)
    runner.optimize(data)
    return runner.compile()


#: Programs whose script has the network trained.
TRAINING = (exporter_of_ultralytics,)


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    [pytest.param(one, marks=pytest.mark.slow if one in TRAINING else ()) for one in SEQUENCES],
    ids=lambda one: one.__name__,
)
def test_a_public_program_runs_to_its_end(
    models: Any, tmp_path: Path, program: Callable[[Bench], Any]
) -> None:
    onnx.save(models.classifier(), tmp_path / "net.onnx")
    onnx.save(models.yolov8(), tmp_path / "yolo.onnx")
    onnx.save(models.two_inputs(), tmp_path / "pair.onnx")
    result = program(Bench(tmp_path, models))
    if result is not None:
        assert result[:4] == MAGIC


def test_members_that_are_not_emulated_say_so_and_others_are_none(models: Any) -> None:
    from hailo_sdk_client import ClientRunner

    runner = ClientRunner(hw_arch="hailo8l")
    with pytest.raises(NotImplementedError, match="join"):
        runner.join(runner)
    assert not hasattr(runner, "save_hef")

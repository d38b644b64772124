"""The Model Zoo's own command line, as its code was seen to call the compiler.

Its ``hailomz parse``, ``optimize`` and ``compile`` (v2.14, v2.18, v5.2.0) were run beside the
project on the stand-in, to a HEF each. What they asked for is written down here in our own words:
names, arguments and their order.
"""

from __future__ import annotations

import argparse
import importlib
from collections import UserList
from typing import TYPE_CHECKING, Any

import onnx
import pytest

if TYPE_CHECKING:
    from pathlib import Path

#: What the zoo's modules import of the vendor's packages, in any of the three releases.
IMPORTS = {
    "hailo_model_optimization.flows.inference_flow": "TorchInferenceModel",
    "hailo_model_optimization.saitama.tools.async_postprocessing": "create_async_postprocessor",
    "hailo_model_optimization.saitama.tools.dataset_generator": "DatasetGenerator",
    "hailo_model_optimization.saitama.tools.prefetch_dataloader": "create_prefetch_dataloader",
    "hailo_model_optimization.saitama.utils.runner_builder": "build_saitama_model_from_runner",
    "hailo_platform": (
        "ConfigureParams Device FormatType HEF HailoRTException HailoStreamInterface "
        "InferVStreams InputVStreamParams OutputVStreamParams PcieDevice VDevice"
    ),
    "hailo_platform.pyhailort._pyhailort": "HailoRTStatusException",
    "hailo_sdk_client": "ClientRunner InferenceContext SdkFineTune",
    "hailo_sdk_client.exposed_definitions": "ContextInfo JoinAction JoinOutputLayersOrder States",
    "hailo_sdk_client.runner.client_runner": "ClientRunner InvalidArgumentsException",
    "hailo_sdk_client.tools.parser_cli": "NetParser",
    "hailo_sdk_client.tools.profiler.react_report_generator": "ReactReportGenerator",
    "hailo_sdk_client.tools.tf_proto_helper": "TF_OPTIONAL_EXTENSIONS",
    "hailo_sdk_common.hailo_nn.exceptions": "UnsupportedModelError",
    "hailo_sdk_common.hailo_nn.hn_definitions": "ActivationTypes",
    "hailo_sdk_common.logger.logger": "DFC_FOLDER_PATH DeprecationVersion create_custom_logger",
    "hailo_sdk_common.targets.inference_targets": "SdkFPOptimized SdkPartialNumeric",
}


@pytest.mark.parametrize("module", IMPORTS)
def test_what_the_zoo_imports_is_there(module: str) -> None:
    found = importlib.import_module(module)
    assert not [name for name in IMPORTS[module].split() if not hasattr(found, name)]


def test_pytorch_inference_says_that_it_is_not_emulated() -> None:
    from hailo_model_optimization.saitama.utils.runner_builder import (
        build_saitama_model_from_runner,
    )

    with pytest.raises(NotImplementedError, match="ClientRunner"):
        build_saitama_model_from_runner(None, None, device="cpu")


def parse(model: Path, names: tuple[Any, Any], *, runner: Any = None) -> Any:
    """The zoo's ``parse_model``: one name stands alone in its settings, several in a list."""
    from hailo_sdk_client.tools.parser_cli import NetParser

    parser = NetParser(argparse.ArgumentParser(description="a zoo's parser"))
    if runner is not None:
        parser.runner = runner
    arguments = argparse.Namespace(
        net_name="net", input_framework="onnx", input_format=None, model_path=str(model),
        tensor_shapes=None, start_node_names=names[0], end_node_names=names[1], y=True,
        hw_arch="hailo8l", har_path=None, augmented_path=None, parsing_report_path=None,
        disable_rt_metadata_extraction=False, compare=False,
    )  # fmt: skip
    return parser.run(arguments, save_model=False)


@pytest.fixture
def model(models: Any, tmp_path: Path) -> Path:
    """A classifier whose last node is named like its output, as in the zoo's files."""
    made = onnx.load_from_string(models.classifier().SerializeToString())
    made.graph.node[-1].name = made.graph.output[0].name
    path = tmp_path / "net.onnx"
    onnx.save(made, path)
    return path


@pytest.mark.parametrize("sets_runner", [False, True], ids=["v2.14", "v2.18"])
@pytest.mark.parametrize("alone", [True, False])
def test_the_command_line_comes_to_a_hef(
    sets_runner: bool, alone: bool, model: Path, tmp_path: Path
) -> None:
    import numpy as np
    from hailo_sdk_client import ClientRunner
    from hailo_sdk_client.exposed_definitions import States

    graph = onnx.load(model).graph
    first, last = graph.input[0].name, graph.node[-1].name
    names = (first, last) if alone else (UserList([first]), (last,))  # omegaconf's list is none
    given = ClientRunner(hw_arch="hailo8l") if sets_runner else None
    runner = parse(model, names, runner=given)
    assert isinstance(runner, ClientRunner)
    assert given is None or runner is given
    har = tmp_path / "net.har"
    runner.save_har(har)

    runner = ClientRunner(hw_arch="hailo8l", har=har)
    assert runner.state == States.HAILO_MODEL
    shape = runner.get_native_hn_model().get_input_shapes(ignore_conversion=True)[0][1:4]
    script = tmp_path / "net.alls"
    script.write_text("model_optimization_flavor(optimization_level=0, compression_level=0)\n")
    random = np.random.default_rng(0)
    frames = [
        (random.integers(0, 256, shape).astype(np.float32), {"image_name": str(number)})
        for number in range(16)
    ]
    runner.load_model_script(script)
    runner.optimize_full_precision(calib_data=lambda: frames)
    runner.optimize(lambda: frames)
    runner.save_har(har)
    # ``compile`` loads the same script again, though the network is quantised already.
    runner.load_model_script(script)
    hef = runner.compile()
    runner.save_har(har)
    assert hef[:4] == b"\x01HEF"
    assert ClientRunner(hw_arch="hailo8l", har=har).state == States.COMPILED_MODEL


def test_names_of_the_wrong_kind_are_still_refused(model: Path) -> None:
    from hailo_sdk_client import ClientRunner
    from hailo_sdk_client.runner.client_runner import InvalidArgumentsException

    with pytest.raises(InvalidArgumentsException, match="a list of names"):
        ClientRunner(hw_arch="hailo8l").translate_onnx_model(
            str(model), "net", end_node_names="one"
        )

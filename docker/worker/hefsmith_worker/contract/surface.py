"""What the worker uses of Hailo's SDK: the one list, looked up in a suite by the contact test.

A test compares it with the worker's source, so nothing is used that is not looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class Use:
    """A class, method or member of ``hailo_sdk_client`` and the keywords that it is called with.

    ``positional`` is how many arguments are given by place. ``when`` says which builds need it,
    empty for all.
    """

    name: str
    keywords: Tuple[str, ...] = ()
    positional: int = 0
    when: str = ""


SDK: Tuple[Use, ...] = (
    Use("ClientRunner", ("hw_arch", "har")),
    Use(
        "ClientRunner.translate_onnx_model",
        ("start_node_names", "end_node_names", "net_input_shapes"),
        2,
    ),
    Use(
        "ClientRunner.translate_tf_model",
        ("start_node_names", "end_node_names", "tensor_shapes"),
        2,
        "networks of TensorFlow",
    ),
    Use("ClientRunner.get_hn_dict"),
    Use("ClientRunner.get_params", when="hef analyze"),
    Use(
        "ClientRunner.analyze_noise",
        ("data_count", "batch_size", "analyze_mode"),
        1,
        "hef analyze, which makes a shorter call where this one is refused",
    ),
    Use("ClientRunner.load_model_script", positional=1),
    Use("ClientRunner.optimize_full_precision", positional=1),
    Use("ClientRunner.optimize", positional=1),
    Use("ClientRunner.compile"),
    Use("ClientRunner.infer_context", positional=1),
    Use("ClientRunner.infer", positional=2),
    Use("ClientRunner.save_har", positional=1),
    Use("InferenceContext.SDK_NATIVE"),
    Use("InferenceContext.SDK_FP_OPTIMIZED"),
    Use("InferenceContext.SDK_QUANTIZED"),
)

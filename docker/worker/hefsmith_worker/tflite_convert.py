"""TFLite to ONNX through tf2onnx: NCHW, and the same bytes for the same file every time."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

from hefsmith_worker.tflite_file import TfliteNetwork

#: How tf2onnx writes a name that it made up: a number at the end.
_MADE_UP = re.compile(r"^(?P<base>.*?)__\d+(?P<port>:\d+)?$", re.DOTALL)


def quieten() -> None:
    """Keep TensorFlow from searching for GPUs and from talking about the CPU; call it first."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Other sums on other processors otherwise.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def to_onnx(
    path: Path, network: TfliteNetwork, *, opset: int, outputs: Optional[Sequence[str]] = None
) -> Any:
    """Return the ONNX model of a TFLite file, cut at the tensors ``outputs`` if given.

    Inputs and outputs with four sides are NCHW. Raises ``ImportError`` without TensorFlow and
    tf2onnx, and whatever tf2onnx raises for a network that it cannot read.
    """
    quieten()
    ends = list(outputs) if outputs else [tensor.name for tensor in network.outputs]
    maps = {tensor.name for tensor in network.tensors if len(tensor.shape) == 4}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tf2onnx

        model, _ = tf2onnx.convert.from_tflite(
            str(path),
            opset=opset,
            output_names=ends,
            inputs_as_nchw=[one.name for one in network.inputs if one.name in maps] or None,
            outputs_as_nchw=[name for name in ends if name in maps] or None,
        )
    _number_names(model, {*ends, *(tensor.name for tensor in network.tensors)})
    return model


def _number_names(model: Any, kept: "set[str]") -> None:
    """Give made-up names new numbers, in the order of the nodes.

    tf2onnx numbers them as its sets happen to be ordered, which no two runs share.
    """
    renamed: Dict[str, str] = {}
    counts: Dict[str, int] = {}

    def new(name: str) -> str:
        match = _MADE_UP.match(name)
        if match is None or name in kept:
            return name
        if name not in renamed:
            # A name made of a made-up one has a number inside.
            base = re.sub(r"__\d+", "", match.group("base"))
            counts[base] = counts.get(base, 0) + 1
            renamed[name] = "%s__%d%s" % (base, counts[base], match.group("port") or "")
        return renamed[name]

    for node in model.graph.node:
        node.name = new(node.name)
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = new(name)
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = re.sub(r"__\d+", "", dim.dim_param)
    for listed in (model.graph.initializer, model.graph.value_info):
        for entry in listed:
            entry.name = new(entry.name)
        ordered = sorted(listed, key=lambda entry: str(entry.name))
        copies = [type(entry).FromString(entry.SerializeToString()) for entry in ordered]
        del listed[:]
        listed.extend(copies)

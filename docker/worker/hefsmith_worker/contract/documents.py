"""JSON documents that stages hand on: their keys and the types of their values.

For type checkers only; whoever reads such a file trusts the stage that wrote it.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, TypedDict

#: Settings as ``Preprocess.to_dict`` writes them.
PreprocessDocument = Mapping[str, Any]


class TensorFacts(TypedDict):
    """An input or output of an ONNX graph; a side that it leaves open is ``None``."""

    name: str
    shape: List[Optional[int]]


class NetworkFacts(TypedDict):
    """An ONNX file: the count of its parameters, and who wrote it."""

    opset: int
    inputs: List[TensorFacts]
    outputs: List[TensorFacts]
    parameters: int
    producer: str


class Parity(TypedDict):
    """How far the framework and ONNX are apart, as a share of an output's range."""

    error: float
    tolerance: float
    samples: int
    on: str


class SampleDocument(TypedDict):
    """A golden sample; ``boxes`` are its annotations, (x, y, w, h, class) as shares.

    ``mask`` is the row of its mask in ``masks.npy``.
    """

    name: str
    sha256: str
    label: Optional[int]
    boxes: Any
    mask: Optional[int]


class DraftInput(TypedDict):
    """A network input: its ONNX name, its samples' file in the golden folder."""

    onnx_name: str
    file: str
    preprocess: PreprocessDocument


class GraphOutputs(TypedDict):
    """The whole graph's outputs and their files by framework (``pytorch``, ``onnx``)."""

    outputs: List[str]
    files: Dict[str, List[str]]


class Draft(TypedDict):
    """``golden/draft.json``: what the stage samples knows of them.

    ``named`` says that the recipe names the labels, ``folders`` how many folders there were.
    """

    schema: int
    task: Optional[str]
    named: bool
    folders: Any
    origin: str
    samples: List[SampleDocument]
    inputs: List[DraftInput]
    graph: GraphOutputs


class OutputLayer(TypedDict):
    """An output of the parsed network: its layer, and the layer that feeds it."""

    layer: str
    stream: str


class Parsed(TypedDict):
    """``parsed.json``: the parsed network (Hailo's HN) and how it hangs together with ONNX.

    ``inputs`` gives the input layer of each ONNX input; ``cut`` is true where the network ends
    before the graph's own outputs.
    """

    hn: Dict[str, Any]
    inputs: Dict[str, str]
    outputs: List[OutputLayer]
    end_nodes: List[str]
    end_tensors: List[str]
    cut: bool


class GoldenOutput(TypedDict):
    """An output in ``golden.json``: a tensor, or the boxes of an NMS (``kind`` nms)."""

    index: int
    onnx_name: Optional[str]
    stream: Optional[str]
    kind: str


class GoldenSteps(TypedDict):
    """The outputs of every step and their files by step."""

    outputs: List[GoldenOutput]
    steps: Dict[str, List[str]]


class TfliteInput(TypedDict):
    """An input under its names in the TFLite and in the ONNX file."""

    tflite: str
    onnx: str
    shape: List[int]


class TfliteMap(TypedDict):
    """``tflite.json``: which tensor of the TFLite file is which of the ONNX file."""

    inputs: List[TfliteInput]
    outputs: List[str]
    tensors: Dict[str, str]


class CalibrationInput(TypedDict):
    """One input's array in ``calibration/``, and how its pictures were prepared."""

    input: str
    file: str
    preprocess: PreprocessDocument


class CalibrationIndex(TypedDict):
    """``calibration/index.json``: the arrays that quantisation reads."""

    inputs: List[CalibrationInput]


class HeadDocument(TypedDict):
    """``head.json``: what the outputs mean, as far as later stages rely on it."""

    family: Optional[str]
    task: Optional[str]
    end_nodes: List[str]
    end_roles: List[str]

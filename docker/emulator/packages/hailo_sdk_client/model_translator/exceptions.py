"""Emulated: what parsing can raise, under the vendor's names (facts: hailo.md 5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hailo_sdk_common.hailo_nn import exceptions as _exceptions

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Its home is the network description.
UnsupportedModelError = _exceptions.UnsupportedModelError


class ModelTranslatorException(Exception):
    """Base of everything that translation raises."""


class ParsingWithRecommendationException(ModelTranslatorException):
    """The graph holds what the chip cannot do; the text says where to cut it.

    ``recommended_end_nodes`` are the same as names.
    """

    def __init__(self, text: str, recommended_end_nodes: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.recommended_end_nodes = tuple(recommended_end_nodes)


class MisspellNodeError(ModelTranslatorException):
    """A start or end node that the graph does not have."""


class UnsupportedOperationError(ModelTranslatorException):
    """An operation that no layer stands for."""


class UnexpectedNodeError(ModelTranslatorException):
    """A node where none can be (Expand, ConstantOfShape, Where on data)."""


class UnsupportedShuffleLayerError(ModelTranslatorException):
    """A Reshape or Transpose that no layer can do."""


class UnsupportedReduceMaxLayerError(ModelTranslatorException):
    """A ReduceMax over axes that the chip cannot reduce."""


class UnsupportedReduceSumLayerError(ModelTranslatorException):
    """A ReduceSum over axes that the chip cannot reduce."""


class UnsupportedReduceMeanLayerError(ModelTranslatorException):
    """A ReduceMean over axes that the chip cannot reduce."""


class UnsupportedReduceL2LayerError(ModelTranslatorException):
    """A ReduceL2 over axes that the chip cannot reduce."""


class UnsupportedSliceLayerError(ModelTranslatorException):
    """A Slice that moves over the batch or is not constant."""


class UnsupportedGatherLayerError(ModelTranslatorException):
    """A Gather whose index is not constant."""


class UnsupportedLSTMLayerError(ModelTranslatorException):
    """A recurrent layer."""


class UnsupportedConvLayerError(ModelTranslatorException):
    """A convolution that is not two-dimensional or has computed weights."""


class UnsupportedConcatLayerError(ModelTranslatorException):
    """A Concat over the batch."""


class UnsupportedResizeLayerError(ModelTranslatorException):
    """A Resize with a mode or axes that the chip does not have."""


class UnsupportedPaddingError(ModelTranslatorException):
    """A Pad over the batch, or with computed sizes."""


class UnsupportedSoftmaxLayerError(ModelTranslatorException):
    """A Softmax over the batch or over height."""


class UnsupportedPoolLayerError(ModelTranslatorException):
    """A pooling that is not two-dimensional, or whose indices are used."""

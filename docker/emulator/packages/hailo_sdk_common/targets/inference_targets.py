"""Emulated: what older programs name an inference target by; contexts have replaced them."""

from __future__ import annotations

from enum import Enum


class ParamsKinds(Enum):
    """Which parameters a target computes with."""

    NATIVE = "native"
    FP_OPTIMIZED = "fp_optimized"
    TRANSLATED = "translated"


class InferenceTarget:
    """Base of the targets; they are compared by their class."""


class SdkNative(InferenceTarget):
    """The parsed network, in float."""


class SdkFPOptimized(InferenceTarget):
    """The network after the model script, in float."""


class SdkPartialNumeric(InferenceTarget):
    """The quantised network, emulated."""


class SdkFineTune(InferenceTarget):
    """The network while it is fine-tuned."""

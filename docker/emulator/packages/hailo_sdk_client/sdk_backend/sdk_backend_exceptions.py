"""Emulated: what scripts, optimisation and compilation raise, under the vendor's names."""

from __future__ import annotations


class SDKBackendException(Exception):
    """Base of the back end's errors."""


class BackendScriptParserException(SDKBackendException):
    """A model script that does not follow the grammar."""


class AllocatorScriptParserException(SDKBackendException):
    """A model script that is grammatical but does not fit this network."""


class BackendAllocatorException(SDKBackendException):
    """The network could not be placed on the chip."""


class BackendValueError(SDKBackendException):
    """Parameters that no chip can hold (NaN, infinity)."""


class UnsupportedMetaArchError(SDKBackendException):
    """A post-process that cannot run where the script wants it."""


class BackendRuntimeException(SDKBackendException):
    """A call that needs what an earlier step has not made."""

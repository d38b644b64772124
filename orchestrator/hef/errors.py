"""What can be wrong with a HEF file: one class per kind, each with a stable code.

``status`` is the number that the vendor's parser returns for the same file (hailort.h): 0 where
it accepts the file all the same, ``None`` where it crashes or never sees it.
"""

from __future__ import annotations

from typing import Any, Self

from orchestrator.errors import ArtifactError, escape_control

#: Names of the vendor's status numbers that a reader of files can meet.
STATUS_NAMES = {
    2: "HAILO_INVALID_ARGUMENT",
    3: "HAILO_OUT_OF_HOST_MEMORY",
    8: "HAILO_INTERNAL_FAILURE",
    13: "HAILO_OPEN_FILE_FAILURE",
    14: "HAILO_FILE_OPERATION_FAILURE",
    26: "HAILO_INVALID_HEF",
    61: "HAILO_NOT_FOUND",
    79: "HAILO_NOT_SUPPORTED",
    91: "HAILO_HEF_FILE_CORRUPTED",
    92: "HAILO_HEF_NOT_SUPPORTED",
    93: "HAILO_HEF_NOT_COMPATIBLE_WITH_DEVICE",
}


class HefError(ArtifactError):
    """A file is not a HEF that can be used; the base of every error of this room.

    ``status`` is the vendor's status (see above), ``offset`` the byte in the file where the
    fault was found or ``None``. Text that comes from the file is escaped here.
    """

    default_code = "hef"
    default_status: int | None = None

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        status: int | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(escape_control(message), hint=hint, code=code)
        self.status = status if status is not None else self.default_status
        self.offset = offset

    def in_file(self, name: str) -> Self:
        """Return the same error with the file's name in its sentence."""
        name = escape_control(name)
        if name in self.message:
            return self
        message = f"{name}: {self.message}"
        # Not copy(): it calls __init__, whose arguments differ from class to class.
        named = type(self).__new__(type(self), message)
        named.__dict__.update(self.__dict__)
        named.message = message
        return named

    @property
    def status_name(self) -> str | None:
        """The vendor's name of :attr:`status`."""
        return None if self.status is None else STATUS_NAMES.get(self.status)


class HefUnreadableError(HefError):
    """The operating system would not let us read the file (missing, folder, permission)."""

    default_code = "hef.unreadable"
    default_status: int | None = 13


class NotAHefError(HefError):
    """Something else under the name of a HEF: LFS pointer, web page, ONNX, zip, empty, ..."""

    default_code = "hef.not-a-hef"
    default_status: int | None = 92


class HefTruncatedError(HefError):
    """Bytes are missing. ``missing`` counts them (``None`` when the header does not say)."""

    default_code = "hef.truncated"
    default_status: int | None = 91

    def __init__(self, message: str, *, missing: int | None = None, **more: Any) -> None:
        super().__init__(message, **more)
        self.missing = missing


class HefCorruptError(HefError):
    """The bytes do not agree with themselves: wrong length, checksum, or protobuf."""

    default_code = "hef.corrupt"
    default_status: int | None = 91


class HefVersionError(HefError):
    """A header version or an extension that no HailoRT we know of understands."""

    default_code = "hef.not-supported"
    default_status: int | None = 92


class HefInvalidError(HefError):
    """The file is intact but what it says makes no sense to HailoRT."""

    default_code = "hef.invalid"
    default_status: int | None = 26


class HefTooLargeError(HefError):
    """The file asks for more work or memory than any real HEF does (a decompression bomb)."""

    default_code = "hef.too-large"


class ModelFileError(HefError):
    """An ONNX or HAR file is not what its name says; HailoRT has no opinion on those."""

    default_code = "model.not-readable"


class ResourceNotFoundError(HefError):
    """A HEF has no external resource of this name, or its bytes are damaged."""

    default_code = "hef.no-resource"

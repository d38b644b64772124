"""Recognise what people mistake for a HEF, by its first bytes."""

from __future__ import annotations

from typing import Final

_RELOAD: Final = "download it again from a place that serves the file itself, not a page about it"

#: First bytes -> what it is, and what to do.
_KINDS: Final = (
    (b"version https://git-lfs", "a Git LFS pointer", "run: git lfs pull"),
    (b"PK\x03\x04", "a zip archive", "unpack it; the file may be inside"),
    (b"PK\x05\x06", "an empty zip archive", None),
    (b"\x1f\x8b", "a gzip archive", "unpack it; the file may be inside"),
    (b"BZh", "a bzip2 archive", "unpack it; the file may be inside"),
    (b"\xfd7zXZ\x00", "an xz archive", "unpack it; the file may be inside"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it; the file may be inside"),
    (b"(\xb5/\xfd", "a Zstandard archive", "unpack it; the file may be inside"),
    (b"\x7fELF", "a program (ELF)", None),
    (b"MZ", "a Windows program", None),
    (b"%PDF", "a PDF document", None),
    (b"\x89HDF", "an HDF5 file (perhaps a Keras model)", "compile it first: hef up"),
    (b"\x93NUMPY", "a NumPy array", None),
    (b"\x89PNG", "a PNG picture", None),
    (b"\xff\xd8\xff", "a JPEG picture", None),
    (b"\x80\x02", "a Python pickle (perhaps PyTorch weights)", "compile it first: hef up"),
    (b"FORM", "an IFF file", None),
    (
        b"\xef\xbb\xbf\x01HEF",
        "a HEF that a program took for text and wrote anew",
        "copy the original again, in binary mode",
    ),
)


def recognise(start: bytes, size: int) -> tuple[str | None, str | None]:
    """Return what a file is ("a zip archive") and a hint; both ``None`` when it is unknown.

    ``start`` is up to 512 bytes from the beginning, ``size`` that of the whole file.
    """
    if size == 0:
        return "empty", "the transfer or the disk failed before a byte arrived; copy it again"
    for prefix, kind, hint in _KINDS:
        if start.startswith(prefix):
            return kind, hint
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite model", "compile it first: hef up"
    if start[257:262] == b"ustar":
        return "a tar archive (perhaps a HAR)", "a HAR is read with: hef inspect FILE.har"
    if not start.strip(b"\x00"):
        return "filled with zero bytes", "the transfer or the disk failed; copy it again"
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<script")):
        return "a web page (HTML)", _RELOAD
    if text.startswith(b"<?xml"):
        return "an XML document (perhaps an error page)", _RELOAD
    if text.startswith((b"{", b"[")):
        return "a JSON text (perhaps an error answer)", _RELOAD
    if _is_onnx(start):
        return "an ONNX model", "compile it first: hef up; or read it: hef inspect FILE.onnx"
    if _is_text(start):
        return "a text", None
    return None, None


def _is_onnx(start: bytes) -> bool:
    # ModelProto: ir_version (field 1, a small number), then producer name, opset or graph
    return (
        len(start) > 3
        and start[0] == 0x08
        and 0 < start[1] < 0x20
        and start[2] in (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)
    )


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:
            return False
        text = start[: error.start].decode("utf-8")
    return bool(text) and all(char.isprintable() or char in "\t\r\n" for char in text)

"""Fuzz target: whatever the bytes are, our reader answers, and only ever with a ``HefError``.

    python tests/fuzz/hef/seeds.py CORPUS
    python tests/fuzz/hef/fuzz_hef.py -max_total_time=120 -max_len=65536 CORPUS

Bytes that do not begin like a HEF are taken as its metadata, so that the fuzzer need not find
headers and hashes by itself.
"""

from __future__ import annotations

import json
import struct
import sys
from contextlib import suppress

import atheris

# The reader imports its inner modules late; only what is imported here is watched for coverage.
with atheris.instrument_imports(include=["orchestrator"]):
    import orchestrator.hef.groups  # noqa: F401
    from orchestrator.hef import (
        HefError,
        check_compatibility,
        compare_hefs,
        examine_hef,
        read_hef,
        read_resource,
    )
    from orchestrator.hef.document import examination_document
    from orchestrator.hef.vendor import vendor_text

MAGIC = b"\x01HEF"


def wrap(proto: bytes) -> bytes:
    """Put metadata into a version 3 file without a metadata hash."""
    return struct.pack(">4sIIQQIQQQ", MAGIC, 3, len(proto), 0, 0, 0, 0, 0, 0) + proto


def test_one(data: bytes) -> None:
    if not data.startswith(MAGIC):
        data = wrap(data)
    examination = examine_hef(data)
    json.dumps(examination_document(examination), allow_nan=False)
    for problem in examination.problems:
        assert problem.code.startswith("hef")
        assert problem.message.isprintable()
    with suppress(HefError):
        read_hef(data, verify=False)
    hef = examination.hef
    if hef is None:
        assert examination.problems
        return
    for chip in ("HAILO8L", "HAILO10H"):
        check_compatibility(hef, chip=chip, hailort="4.20.0")
    assert not compare_hefs(hef, hef)
    for streams in (False, True):
        try:
            vendor_text(hef, parse_streams=streams)
        except HefError as error:
            assert error.code
    for resource in hef.resources[:3]:
        with suppress(HefError):
            read_resource(data, resource.name)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one)
    atheris.Fuzz()

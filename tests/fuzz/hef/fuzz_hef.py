"""Fuzz target: whatever the bytes are, our reader answers, and only ever with a ``HefError``.

    python tests/fuzz/hef/seeds.py CORPUS
    python tests/fuzz/hef/fuzz_hef.py -max_total_time=120 -max_len=65536 CORPUS

Bytes that do not begin like a HEF are taken as its metadata, so that the fuzzer need not find
headers and hashes by itself. Where atheris has no build (macOS, newer Pythons) the seeds are
changed at random instead, without the help of coverage.
"""

from __future__ import annotations

import json
import random
import struct
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

try:
    import atheris
except ImportError:
    atheris = None

# The reader imports its inner modules late; only what is imported here is watched for coverage.
with atheris.instrument_imports(include=["orchestrator"]) if atheris else nullcontext():
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
        named = problem.in_file("fuzz.hef")
        assert (named.code, named.status) == (problem.code, problem.status)
        assert "fuzz.hef" in str(named)
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


def fuzz_blindly(arguments: list[str]) -> None:
    """Change the seeds at random for as long as ``-max_total_time`` says."""
    options = dict(item[1:].split("=", 1) for item in arguments if item.startswith("-"))
    folder = Path(next(item for item in arguments if not item.startswith("-")))
    seeds = [path.read_bytes() for path in sorted(folder.iterdir())]
    end = time.monotonic() + float(options.get("max_total_time", "60"))
    choose = random.Random(0)
    count = 0
    while time.monotonic() < end:
        data = bytearray(choose.choice(seeds))
        for _ in range(choose.randint(1, 8)):
            place = choose.randint(0, len(data))
            removed, added = choose.choice((0, 1, 1, 2)), choose.choice((0, 1, 1))
            data[place : place + removed] = choose.randbytes(added)
        try:
            test_one(bytes(data))
        except Exception:
            Path(options.get("artifact_prefix", "crash-") + "blind").write_bytes(data)
            raise
        count += 1
    print(f"stat::number_of_executed_units: {count}", file=sys.stderr)


if __name__ == "__main__":
    if atheris is None:
        fuzz_blindly(sys.argv[1:])
    else:
        atheris.Setup(sys.argv, test_one)
        atheris.Fuzz()

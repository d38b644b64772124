"""Files with the vendor tool's own answers: ours must be the same."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.hef import HefError, examine_hef, read_hef
from orchestrator.hef.document import examination_document
from orchestrator.hef.vendor import vendor_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def cases(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.hef"))
    assert len(found) >= 65, f"only {len(found)} files under {folder}"
    return found


def expected(path: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(path.with_suffix(".expected.json").read_text())
    return answer


def differences(wanted: object, found: object, where: str = "") -> Iterator[str]:
    """Yield every place where a field that both have is not the same."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in wanted.keys() & found.keys():
            yield from differences(wanted[key], found[key], f"{where}/{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for place, (one, two) in enumerate(zip(wanted, found, strict=True)):
            yield from differences(one, two, f"{where}[{place}]")
    elif (type(wanted), wanted) != (type(found), found):
        yield f"{where}: the vendor has {wanted!r}, we have {found!r}"


def vendor_answers(path: Path) -> list[tuple[bool, int, str]]:
    """Return (with streams, exit status, stdout) for both ways to call the vendor's tool."""
    text = path.with_suffix(".expected.txt").read_text()
    pattern = r"\$ hailortcli parse-hef(.*)\n\[exit (-?\d+)\]\n--- stdout\n((?:.*\n)*?)--- stderr"
    return [
        ("--parse-streams" in line, int(status), out)
        for line, status, out in re.findall(pattern, text)
    ]


def test_json_has_the_vendors_values_in_every_field_that_both_have(shared_hefs: Path) -> None:
    wrong = []
    for path in cases(shared_hefs):
        document = examination_document(examine_hef(path))
        wanted = expected(path)
        assert wanted.keys() - document.keys() == {"proto_error"}
        wrong += [f"{path.name}{item}" for item in differences(wanted, document)]
    assert not wrong, "\n".join(wrong)


def test_vendor_text_and_status_are_the_vendors_byte_for_byte(shared_hefs: Path) -> None:
    wrong = []
    compared = 0
    for path in cases(shared_hefs):
        examination = examine_hef(path)
        for streams, wanted_status, wanted in vendor_answers(path):
            status, text = examination.vendor_status, ""
            if examination.opens and examination.hef is not None:
                try:
                    text = vendor_text(examination.hef, parse_streams=streams)
                except HefError as error:
                    status = error.status
            compared += 1
            if (status, text) != (wanted_status, wanted):
                wrong.append(f"{path.name}: {wanted_status} {wanted!r} / {status} {text!r}")
    assert compared >= 130
    assert not wrong, "\n".join(wrong)


def test_what_the_vendor_refuses_raises_an_error_with_its_status(shared_hefs: Path) -> None:
    refused = [path for path in cases(shared_hefs) if expected(path)["status"]]
    assert len(refused) > 15
    for path in refused:
        with pytest.raises(HefError) as caught:
            read_hef(path)
        assert caught.value.status == expected(path)["status"], path.name
        assert caught.value.code.startswith("hef.")


def test_a_truncated_file_is_told_by_the_bytes_that_are_missing(shared_hefs: Path) -> None:
    with pytest.raises(HefError, match="28357234 of 31240818 bytes are missing") as caught:
        read_hef(shared_hefs / "truncated" / "New1.hef")
    assert getattr(caught.value, "missing", None) == 28357234


def test_metadata_is_the_same_without_verification(shared_hefs: Path) -> None:
    for path in sorted((shared_hefs / "real").glob("*.hef")):
        quick, full = read_hef(path, verify=False), read_hef(path)
        assert quick.network_groups == full.network_groups
        assert len(quick.checks) == 1 < len(full.checks)


def test_a_real_file_tells_more_than_the_vendors_tool(shared_hefs: Path) -> None:
    hef = read_hef(shared_hefs / "real" / "scrfd_2.5g.hef")
    group = hef.group()
    assert hef.compiler_version == (5, 2, 0)
    assert group.predicted_fps is not None
    assert group.predicted_fps > 100
    assert group.contexts[0].actions == 1
    assert all(tensor.original_names for tensor in (*group.inputs, *group.outputs))
    assert all(tensor.quantization.scale > 0 for tensor in group.outputs)
    old = read_hef(shared_hefs / "real" / "Hailo_Testing__fast_depth.hef")
    assert old.compiler_version == (3, 30, 0)
    assert old.sections["weights"] == 1621184

"""Which words of a log a finding quotes: those that show it, and as they stand there."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log

ILLEGAL = "Illegal instruction (core dumped)"


def quoted(*lines: str) -> list[tuple[int | None, str | None]]:
    return [(one.line, one.text) for one in read_log(lines).findings() if one.severity == "fatal"]


def test_the_programs_own_line_is_quoted_and_not_the_title_of_the_post() -> None:
    title = "hailo command: Illegal instruction"
    assert quoted(title, "", "$ hailo -h", ILLEGAL) == [(4, ILLEGAL)]
    # Where nothing else says it, the title is all there is; and a log that goes on has none.
    assert [line for line, _ in quoted(ILLEGAL, "", "$ hailo -h")] == [1]
    assert [line for line, _ in quoted(ILLEGAL, "$ hailo -h", ILLEGAL)] == [1]


def test_what_is_asked_about_is_quoted_and_not_what_stands_beside_it() -> None:
    library = "libhailort.so.4.20.0: cannot open shared object file: No such file or directory"
    found = quoted("## Related issues", library, "## Log", library)
    assert found == [(4, library)]


def test_of_a_message_over_several_lines_only_those_that_show_it_are_quoted() -> None:
    before = "in file included from /home/me/hailort-drivers/linux/pcie/src/pcie.c:12:"
    lines = (before, "ERROR: could not install packages due to an OSError: [Errno 28]",
             "  No space left on device")  # fmt: skip
    ((line, text),) = quoted(*lines)
    assert line != 1
    assert "hailort-drivers" not in str(text)


@pytest.mark.parametrize("slash", ["\\", "\\\\"])
def test_a_place_of_windows_keeps_its_back_slashes(slash: str) -> None:
    place = rf"C:\venv\Lib\site-packages\onnx{slash}__init__.py"
    said = f"ImportError: cannot import name 'mapping' from 'onnx' ({place})"
    assert quoted(said) == [(1, said)]


def test_elsewhere_a_back_slash_of_markdown_goes() -> None:
    said = r"ModuleNotFoundError: No module named 'hailo\_platform'"
    assert quoted(said) == [(1, said.replace("\\", ""))]


def test_the_marks_that_opencv_itself_prints_are_no_quotation() -> None:
    said = ">  - img marked as output argument, but provided NumPy array marked as readonly"
    lines = (
        "cv2.error: OpenCV(4.9.0) :-1: error: (-5:Bad argument) in function 'rectangle'",
        "> Overload resolution failed:",
        said,
        ">  - Expected Ptr<cv::UMat> for argument 'img'",
    )
    assert [line for line, _ in quoted(*lines)] == [3]

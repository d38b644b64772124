"""Explains logs: one that just ended in failure, or any file that somebody has.

A failing stage shows the entries that match its last lines; ``hef explain`` reads whole logs,
of our own runs or of hailomz, hailortcli, docker, pip, scp and dmesg.
"""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from orchestrator.diagnose.log_reader import VendorLog
from orchestrator.diagnose.post.whole import read_whole
from orchestrator.errors import ConfigError, escape_control
from orchestrator.reading import LOG_LIMIT, open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.diagnose.finding import Asked, Diagnosis, Ran

#: A file may hold anything; a "line" without end must not be read into memory whole.
LONGEST_LINE = 1 << 16


def lines_of(stream: BinaryIO) -> Iterator[str]:
    """Yield the lines of a log; bytes that are no text become replacement marks.

    UTF-16 with a byte order mark (PowerShell's ``>``) is understood, and so are rotated logs that
    gzip has packed; of those what can be unpacked, up to the limit of a log.
    """
    head = stream.read(2)
    if head == b"\x1f\x8b":
        yield from lines_of(cast("BinaryIO", io.BufferedReader(_Unpacked(_Raw(head, stream)))))
        return
    encoding = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(head)
    whole = io.BufferedReader(_Raw(b"" if encoding else head, stream))
    text = io.TextIOWrapper(whole, encoding or "utf-8", errors="replace", newline="\n")
    while line := text.readline(LONGEST_LINE):
        yield line.rstrip("\n")


class _Raw(io.RawIOBase):
    """A raw stream over ``head`` and then ``rest``, for decoders that want one."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._head or self._rest.read(len(buffer))
        self._head = b""
        buffer[: len(data)] = data
        return len(data)


class _Unpacked(io.RawIOBase):
    """What is packed in a raw stream; ends where it is cut or damaged, or gets too long."""

    def __init__(self, packed: io.RawIOBase) -> None:
        super().__init__()
        self._stream = gzip.GzipFile(fileobj=io.BufferedReader(packed))
        self._left = LOG_LIMIT

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(min(len(buffer), self._left))
        except (EOFError, OSError, zlib.error):
            data = b""
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


def explain_failure(
    lines: Iterable[str],
    context: Mapping[str, str] | None = None,
    *,
    asked: Asked | None = None,
) -> list[Diagnosis]:
    """Return what explains the failure that ``lines`` end in, worst and most specific first.

    ``context`` fills remedies: ``recipe``, ``model``, ``arch``, ``end_nodes``, ``images_given``.
    Harmless lines are left out; the list is never empty.
    """
    log = VendorLog(asked=asked, context=context)
    last = ""
    for line in lines:
        log.feed(line)
        if line.strip():
            last = line.strip()
    found = [one for one in log.findings() if one.severity != "info"]
    if any(one.severity == "fatal" for one in found):
        return found
    return [log.unexplained(last), *found]


def _open_log(path: Path) -> BinaryIO:
    """Open a log; a shell's ``<(command)`` is one, other pipes and devices are not."""
    if path.parent in (Path("/dev/fd"), Path("/proc/self/fd")) and path.is_fifo():
        return path.open("rb")
    return cast("BinaryIO", open_regular(path, LOG_LIMIT))


#: How files begin that hold messages of compilers and libraries, of which none was printed: HEF,
#: programs and libraries, pictures, HDF5 and NumPy (a first byte that is no text is a mark here).
_NO_LOGS = ("\x01HEF", "\x7fELF", "\ufffdPNG", "\ufffdHDF", "\ufffdNUMPY")
#: So many bytes of a line that are no text make it none; a name in another encoding has fewer.
_NOT_TEXT = 4


class Explained(NamedTuple):
    """What ran, what is known of it, and the lines (number, file, words) most likely to matter.

    ``empty`` and ``strange``: nothing was read but white space; bytes that are no text among it.
    """

    ran: Ran
    findings: list[Diagnosis]
    notable: list[tuple[int, str | None, str]]
    empty: bool = False
    strange: bool = False


class _Kind:
    """Passes lines on and notes whether they are text."""

    def __init__(self) -> None:
        self.empty = True
        self.strange = False
        self.zeros = False

    def of(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the same lines; none of a file that is known to be no log."""
        for number, line in enumerate(lines):
            if number == 0 and line.startswith(_NO_LOGS):
                self.strange, self.empty = True, False
                return
            # Zeros at the end, as a disk writes them where power was cut, are no words.
            text = line.rstrip("\0")
            self.zeros = self.zeros or text != line
            self.strange = self.strange or "\0" in text or text.count("\ufffd") * 4 > len(text)
            self.empty = self.empty and not text.strip(" \t\r\ufeff")
            yield text


def explain_logs(paths: Iterable[Path], stdin: BinaryIO) -> Explained:
    """Read logs in the order given, as one story; ``-`` is standard input.

    :raises ConfigError: a file cannot be read.
    """
    several = list(paths)
    log = VendorLog()
    kind = _Kind()
    for path in several:
        named = str(path) if len(several) > 1 else None
        log.begin_file(named)
        if str(path) == "-":
            read_whole(kind.of(lines_of(stdin)), log.feed)
            continue
        try:
            with _open_log(path) as stream:
                read_whole(kind.of(lines_of(stream)), log.feed)
        except OSError as error:
            msg = f"{escape_control(str(path))}: {error.strerror or error}"
            raise ConfigError(
                msg,
                hint="Give the path of a log file, or - for standard input.",
                code="explain.file",
            ) from error
    ran, findings = log.ran(), log.findings()
    if ran.outcome == "ok" and any(one.severity == "fatal" for one in findings):
        # The last command went well; what is asserted is of one before that nothing answered for.
        ran = replace(ran, outcome="failed")
    notable = log.notable()
    if kind.strange:
        # Words that a picture or a HEF seems to have by chance are none.
        notable = [one for one in notable if one[2].count("\ufffd") < _NOT_TEXT]
    # Nothing but zeros is no text, either.
    hollow = kind.empty and kind.zeros
    return Explained(ran, findings, notable, kind.empty and not hollow, kind.strange or hollow)

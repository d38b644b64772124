"""The same message as other people's terminals, loggers and editors would show it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable

Change = Callable[[str], str]


def each_line(change: Callable[[str], str]) -> Change:
    return lambda text: "\n".join(change(line) for line in text.split("\n"))


def wrap(width: int) -> Change:
    """Wrap at spaces, as wikis and chats do."""
    return each_line(
        lambda line: "\n".join(
            textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
        )
    )


def cut(width: int) -> Change:
    """Wrap at a column, as terminals do, within words too."""
    return each_line(
        lambda line: "\n".join(line[at : at + width] for at in range(0, len(line), width))
    )


def double_quoted(text: str) -> str:
    return re.sub(r"(?<=[\s=(\[:])'([^'\n]*)'", r'"\1"', text)


def in_hailort_log(text: str) -> str:
    """Put file, line and function behind HailoRT's name and level, as its log file has them."""
    place = "[vdma_config_core_op_manager.cpp:1436] [register_buffers_of_all_intermediate_contexts]"
    return re.sub(
        r"(\[HailoRT(?: CLI)?\] \[(?:error|critical|warning)\] )(?!\[\w+\.\w+:\d+\])",
        rf"\1{place} ",
        text,
    )


CHANGES: dict[str, Change] = {
    "as recorded": lambda text: text,
    "shouted": str.upper,
    "in small letters": str.lower,
    "double quotes": double_quoted,
    "curly quotes": lambda text: text.replace("'", "\u2019"),
    "double spaces": lambda text: text.replace(" ", "  "),
    "coloured": each_line(lambda line: f"\x1b[31m{line}\x1b[0m"),
    "docker logs -t": each_line(lambda line: f"2025-10-02T11:22:33.123456789Z {line}"),
    "docker compose": each_line(lambda line: f"hailo-1  | {line}"),
    "syslog": each_line(lambda line: f"Nov 22 10:00:01 pi5 hailo[123]: {line}"),
    "clock": each_line(lambda line: f"[12:34:56] {line}"),
    "cat -n": each_line(lambda line: f"  310  {line}"),
    "carriage returns": lambda text: text.replace("\n", "\r\n") + "\r",
    "wrapped at 60": wrap(60),
    "wrapped at 100": wrap(100),
    "cut at 80": cut(80),
    "in the middle": lambda text: f"Starting...\n[info] a line before\n{text}\n[info] a line after",
    "after a traceback": lambda text: (
        'Traceback (most recent call last):\n  File "/x/y.py", line 12, in <module>\n'
        f"    main()\n{text}"
    ),
    "compose over syslog": each_line(
        lambda line: f"app-1  | Nov 22 10:00:01 pi5 hailo[123]: {line}"
    ),
    "journal -o short-iso": each_line(
        lambda line: f"2025-11-22T10:00:01+0100 pi5 hailo[123]: {line}"
    ),
    "quoted": each_line(lambda line: f"> {line}"),
    "hailort.log": in_hailort_log,
}

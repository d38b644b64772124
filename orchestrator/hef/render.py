"""A HEF for people: a Rich panel. Everything that comes from a file is escaped here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from hefsmith_worker.contract.counting import some
from rich.console import Group
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from orchestrator.errors import escape_control
from orchestrator.hef.vendor import tensor_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from orchestrator.hef.compatibility import Compatibility
    from orchestrator.hef.model import Hef, NetworkGroup, NmsOp, Quantization, Tensor
    from orchestrator.hef.reader import Examination

    #: Puts a message into the user's language.
    Say = Callable[[str], str]

_SECTIONS: Final = {
    "header": "header",
    "metadata": "metadata",
    "padding": "padding",
    "weights": "weights",
    "additional": "resources",
    "trailing": "too much",
}
_CHECKS: Final = {
    "length": "length",
    "md5": "MD5",
    "crc32": "CRC32",
    "xxh3_64": "XXH3 of the file",
    "proto_xxh3_64": "XXH3 of the metadata",
}
_MOST_NAMES: Final = 3
#: Columns of a screen on which everything has room.
_ENDLESS: Final = 10_000
_MILLISECONDS: Final = 10**11


def render_examination(
    examination: Examination,
    compatibility: Compatibility | None = None,
    *,
    framed: bool = True,
    say: Say = str,
) -> RenderableType:
    """Return the panel of one file; a bad file shows what is wrong and all that could be read.

    ``framed`` draws a border, which only a terminal wants; ``say`` puts messages into the user's
    language.
    """
    hef = examination.hef
    parts: list[RenderableType] = [_facts(examination, compatibility, say)]
    if hef is not None:
        for group in hef.network_groups:
            parts += _group(group, say, emulated=hef.emulated)
    bad = bool(examination.problems)
    title = Text(escape_control(examination.name), style="bold")
    if hef is not None and hef.emulated:
        title.append("  EMULATED", style="bold magenta")
    return panel(title, parts, style="red" if bad else "green", framed=framed)


def panel(title: Text, parts: list[RenderableType], *, style: str, framed: bool) -> RenderableType:
    """Return ``parts`` under a title, in a frame or as plain lines."""
    if not framed:
        return Group(title, *parts)
    return Panel(Group(*parts), title=title, title_align="left", border_style=style, expand=False)


class Facts:
    """Names and values below each other, in the user's language; nothing in them moves a terminal.

    ``say`` puts a message into that language.
    """

    def __init__(self, say: Say = str) -> None:
        self.say = say
        self._grid = Table.grid(padding=(0, 2))
        self._grid.add_column(style="bold", no_wrap=True)
        self._grid.add_column(overflow="fold")

    def add(self, name: str, text: str | Text, hint: str | None = "", *, style: str = "") -> None:
        """Add a value under its name, and below it what is to be done."""
        if isinstance(text, str):
            text = _plain(self.say(text), style)
        if hint:
            text.append(f"\n{escape_control(self.say(hint))}", style="dim")
        self._grid.add_row(self.say(name), text)

    def __rich__(self) -> Table:
        return self._grid


def _facts(examination: Examination, compatibility: Compatibility | None, say: Say) -> Facts:
    facts, hef = Facts(say), examination.hef
    if hef is not None:
        if hef.emulated:
            facts.add("emulated", "by hefsmith; no chip can run this file", style="magenta")
        facts.add("chips", _chips(hef))
        facts.add("compiler", _compiler(hef))
    facts.add("integrity", _integrity(examination, say))
    for problem in examination.problems:
        facts.add("problem", problem.message, problem.hint, style="red")
    if hef is not None:
        if hef.timestamp:
            facts.add("made", _time(hef.timestamp))
        facts.add("size", _sections(hef, say))
        names = [item.name for item in hef.extensions if not item.optional]
        facts.add("extensions", ", ".join(names) or "none")
        for item in hef.resources:
            facts.add("resource", Text(escape_control(f"{item.name}  {size_text(item.size)}")))
    else:
        facts.add("size", size_text(examination.size))
    if compatibility is not None:
        _compatibility(facts, compatibility)
    return facts


def _plain(text: str, style: str = "") -> Text:
    return Text(escape_control(text), style=style)


def _chips(hef: Hef) -> str:
    return f"{', '.join(hef.chips)}  ({hef.hw_arch or f'architecture {hef.hw_arch_id}'})"


def _compiler(hef: Hef) -> str:
    version = ".".join(map(str, hef.compiler_version)) if hef.compiler_version else ""
    text = hef.compiler if hef.compiler != version else ""
    return "  ".join(part for part in (version, text) if part) or "unknown"


def _integrity(examination: Examination, say: Say) -> Text:
    text = Text()
    header = examination.header
    if header is not None:
        text.append(f"{say('header')} v{header.version}")
    for check in examination.checks:
        name = say(_CHECKS.get(check.name, escape_control(check.name)))
        text.append(", " if text else "")
        text.append(
            f"{name} {'ok' if check.ok else say('wrong').upper()}",
            style="" if check.ok else "bold red",
        )
    if not examination.problems:
        said, style = say("sound"), "bold green"
    elif examination.vendor_status == 0:
        said, style = say("HailoRT opens it all the same"), "yellow"
    elif examination.vendor_status is None:
        said, style = say("HailoRT crashes on it"), "bold red"
    else:
        said, style = say(f"HailoRT refuses it with status {examination.vendor_status}"), "red"
    text.append(f"{'  ' if text else ''}{said}", style=style)
    return text


def _time(timestamp: int) -> str:
    # real compilers count milliseconds
    seconds = timestamp / 1000 if timestamp > _MILLISECONDS else timestamp
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return f"timestamp {timestamp}"


def size_text(size: int) -> str:
    """Return a size in bytes for people."""
    if size < 10_000:
        return f"{size} bytes"
    units = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
    unit, divisor = next((unit, divisor) for unit, divisor in units if size >= divisor)
    return f"{size / divisor:.1f} {unit}"


def _sections(hef: Hef, say: Say) -> str:
    parts = [f"{say(_SECTIONS[name])} {size_text(size)}" for name, size in hef.sections.items()]
    return f"{size_text(hef.size)} = {' + '.join(parts)}"


def _compatibility(facts: Facts, compatibility: Compatibility) -> None:
    where = compatibility.chip + (
        f", HailoRT {compatibility.hailort}" if compatibility.hailort else ""
    )
    if compatibility.runs:
        facts.add("runs on", f"{where}: yes", style="bold green")
    else:
        facts.add("runs on", f"{where}: no", style="bold red")
    for reason in compatibility.refusals:
        text = _plain(facts.say(reason.message), style="red")
        if reason.status:
            text.append(f" (status {reason.status})", style="dim")
        facts.add("", text, reason.hint)
    for reason in compatibility.warnings:
        facts.add("note", reason.message, style="yellow")


def _group(group: NetworkGroup, say: Say, *, emulated: bool) -> Iterator[RenderableType]:
    facts = Facts(say)
    facts.add("", "")
    facts.add("network group", _plain(group.name, style="bold cyan"))
    if len(group.networks) > 1:
        facts.add("networks", _plain(", ".join(group.networks)))
    facts.add("contexts", _contexts(group, say))
    # The emulator places nothing, so the rate that it writes predicts nothing of a chip.
    if group.predicted_fps is not None and not emulated:
        facts.add("predicted FPS", f"{group.predicted_fps:.1f} (bottleneck, by the compiler)")
    if group.operations is not None:
        facts.add("operations", f"{group.operations / 1e9:.3g} G per frame")
    yield facts
    yield _Tensors(group, say)
    for op in group.nms_ops:
        yield _nms(op, say)
    for logits in group.logits_ops:
        of_logits = Facts(say)
        of_logits.add(logits.kind, f"on the host: {logits.input} -> {logits.output}")
        yield of_logits


def _contexts(group: NetworkGroup, say: Say) -> str:
    if not group.multi_context:
        return say("1 (the whole network fits on the chip)")
    actions = sum(context.actions for context in group.contexts)
    return say(f"{group.declared_contexts} (loaded one after the other; {actions} actions)")


class _Tensors:
    """What goes in and out: a table where the screen has room for it, else a paragraph each."""

    def __init__(self, group: NetworkGroup, say: Say) -> None:
        self.group = group
        self.say = say

    def _fitting(self, console: Console, options: ConsoleOptions) -> Table:
        table = _table(self.group, self.say)
        needed = Measurement.get(console, options.update(max_width=_ENDLESS), table).maximum
        return table if needed <= options.max_width else _paragraphs(self.group, self.say)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._fitting(console, options)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._fitting(console, options))


def _directed(group: NetworkGroup) -> Iterator[tuple[str, Tensor]]:
    yield from (("in", tensor) for tensor in group.inputs)
    yield from (("out", tensor) for tensor in group.outputs)


def _table(group: NetworkGroup, say: Say) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column(say("name"), overflow="fold")
    table.add_column(say("type and shape"), overflow="fold")
    table.add_column(say("bytes"), justify="right")
    table.add_column(say("scale, zero point"), overflow="fold")
    table.add_column(say("in the model"), overflow="fold")
    for direction, tensor in _directed(group):
        table.add_row(
            direction,
            _plain(tensor.name),
            _plain(_shape(tensor, say)),
            str(tensor.frame_size),
            _plain(_quantization(tensor.quantization, say)),
            _plain(_names(tensor.original_names)),
        )
    return table


def _paragraphs(group: NetworkGroup, say: Say) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for direction, tensor in _directed(group):
        facts = f"{_shape(tensor, say)}, {tensor.frame_size} bytes"
        if (quantization := _quantization(tensor.quantization, say)) != "-":
            scale, comma, zero = quantization.partition(", ")
            facts += f", {say('scale')} {scale}"
            facts += f", {say('zero point')} {zero}" if comma else ""
        names = _names(tensor.original_names)
        lines = [tensor.name, facts, *([f"{say('in the model')}: {names}"] if names else [])]
        grid.add_row(direction, _plain_lines(lines))
    return grid


def _plain_lines(lines: list[str]) -> Text:
    return Text("\n".join(escape_control(line) for line in lines))


def _shape(tensor: Tensor, say: Say) -> str:
    nms = tensor.nms_shape
    if nms is None:
        return tensor_text(tensor)
    boxes = f"{nms.number_of_classes} classes x {nms.max_bboxes_per_class} boxes"
    return f"{tensor.type}, {tensor.order} ({say(boxes)})"


def _quantization(value: Quantization, say: Say) -> str:
    if value.per_feature:
        low, high = min(value.scales), max(value.scales)
        return say(f"{low:.4g} to {high:.4g} (per feature)")
    if not value.scale or (value.scale, value.zero_point, value.limits) == (1.0, 0.0, (0.0, 0.0)):
        return "-"
    return f"{value.scale:.6g}, {value.zero_point:g}"


def _names(names: tuple[str, ...]) -> str:
    return some(names, _MOST_NAMES)


def _nms(op: NmsOp, say: Say) -> Facts:
    facts = Facts(say)
    image = f", image {op.image[0]:g}x{op.image[1]:g}" if op.image else ""
    facts.add(
        "box decoding" if op.box_decoding_only else "NMS",
        f"{op.family} on the host -> {op.output}{image}",
    )
    background = f", background class {op.background_index}" if op.background_removal else ""
    facts.add(
        "",
        f"{op.classes} classes{background}, at most {op.max_boxes_per_class} boxes each, "
        f"score > {op.score_threshold:g}, IoU > {op.iou_threshold:g}",
    )
    for decoder in op.decoders:
        inputs = ", ".join(f"{role} {name}" for role, name in decoder.inputs.items())
        stride = f"stride {decoder.stride}: " if decoder.stride else ""
        anchors = " ".join(f"{height:g}x{width:g}" for height, width in decoder.anchors)
        text = f"{stride}{inputs}" + (f"; anchors {anchors}" if anchors else "")
        facts.add("", _plain(text))
    return facts

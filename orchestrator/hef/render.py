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
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from orchestrator.hef.compatibility import Compatibility
    from orchestrator.hef.model import Hef, NetworkGroup, NmsOp, Quantization, Tensor
    from orchestrator.hef.reader import Examination

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
    examination: Examination, compatibility: Compatibility | None = None, *, framed: bool = True
) -> RenderableType:
    """Return the panel of one file; a bad file shows what is wrong and all that could be read.

    ``framed`` draws a border, which only a terminal wants.
    """
    hef = examination.hef
    parts: list[RenderableType] = [_facts(examination, compatibility)]
    if hef is not None:
        for group in hef.network_groups:
            parts += _group(group, emulated=hef.emulated)
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


def facts_grid() -> Table:
    """Return a table of names and values."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _facts(examination: Examination, compatibility: Compatibility | None) -> Table:
    grid, hef = facts_grid(), examination.hef
    if hef is not None:
        if hef.emulated:
            grid.add_row(
                "emulated", Text("by hefsmith; no chip can run this file", style="magenta")
            )
        grid.add_row("chips", Text(_chips(hef)))
        grid.add_row("compiler", _plain(_compiler(hef)))
    grid.add_row("integrity", _integrity(examination))
    for problem in examination.problems:
        text = _plain(problem.message, style="red")
        if problem.hint:
            text.append(f"\n{escape_control(problem.hint)}", style="dim")
        grid.add_row("problem", text)
    if hef is not None:
        if hef.timestamp:
            grid.add_row("made", _plain(_time(hef.timestamp)))
        grid.add_row("size", _plain(_sections(hef)))
        names = [item.name for item in hef.extensions if not item.optional]
        grid.add_row("extensions", _plain(", ".join(names) or "none"))
        for item in hef.resources:
            grid.add_row("resource", _plain(f"{item.name}  {size_text(item.size)}"))
    else:
        grid.add_row("size", size_text(examination.size))
    if compatibility is not None:
        _compatibility(grid, compatibility)
    return grid


def _plain(text: str, style: str = "") -> Text:
    return Text(escape_control(text), style=style)


def _chips(hef: Hef) -> str:
    return f"{', '.join(hef.chips)}  ({hef.hw_arch or f'architecture {hef.hw_arch_id}'})"


def _compiler(hef: Hef) -> str:
    version = ".".join(map(str, hef.compiler_version)) if hef.compiler_version else ""
    text = hef.compiler if hef.compiler != version else ""
    return "  ".join(part for part in (version, text) if part) or "unknown"


def _integrity(examination: Examination) -> Text:
    text = Text()
    header = examination.header
    if header is not None:
        text.append(f"header v{header.version}")
    for check in examination.checks:
        name = _CHECKS.get(check.name, escape_control(check.name))
        text.append(", " if text else "")
        text.append(f"{name} {'ok' if check.ok else 'WRONG'}", style="" if check.ok else "bold red")
    if not examination.problems:
        said, style = "sound", "bold green"
    elif examination.vendor_status == 0:
        said, style = "HailoRT opens it all the same", "yellow"
    elif examination.vendor_status is None:
        said, style = "HailoRT crashes on it", "bold red"
    else:
        said, style = f"HailoRT refuses it with status {examination.vendor_status}", "red"
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


def _sections(hef: Hef) -> str:
    parts = [f"{_SECTIONS[name]} {size_text(size)}" for name, size in hef.sections.items()]
    return f"{size_text(hef.size)} = {' + '.join(parts)}"


def _compatibility(grid: Table, compatibility: Compatibility) -> None:
    where = compatibility.chip + (
        f", HailoRT {compatibility.hailort}" if compatibility.hailort else ""
    )
    if compatibility.runs:
        grid.add_row("runs on", Text(f"{where}: yes", style="bold green"))
    else:
        grid.add_row("runs on", Text(f"{where}: no", style="bold red"))
    for reason in compatibility.refusals:
        text = _plain(reason.message, style="red")
        if reason.status:
            text.append(f" (status {reason.status})", style="dim")
        if reason.hint:
            text.append(f"\n{escape_control(reason.hint)}", style="dim")
        grid.add_row("", text)
    for reason in compatibility.warnings:
        grid.add_row("note", _plain(reason.message, style="yellow"))


def _group(group: NetworkGroup, *, emulated: bool) -> Iterator[RenderableType]:
    facts = facts_grid()
    facts.add_row("", "")
    facts.add_row("network group", _plain(group.name, style="bold cyan"))
    if len(group.networks) > 1:
        facts.add_row("networks", _plain(", ".join(group.networks)))
    facts.add_row("contexts", _contexts(group))
    # The emulator places nothing, so the rate that it writes predicts nothing of a chip.
    if group.predicted_fps is not None and not emulated:
        facts.add_row("predicted FPS", f"{group.predicted_fps:.1f} (bottleneck, by the compiler)")
    if group.operations is not None:
        facts.add_row("operations", f"{group.operations / 1e9:.3g} G per frame")
    yield facts
    yield _Tensors(group)
    for op in group.nms_ops:
        yield _nms(op)
    for logits in group.logits_ops:
        grid = facts_grid()
        grid.add_row(logits.kind, _plain(f"on the host: {logits.input} -> {logits.output}"))
        yield grid


def _contexts(group: NetworkGroup) -> str:
    if not group.multi_context:
        return "1 (the whole network fits on the chip)"
    actions = sum(context.actions for context in group.contexts)
    return f"{group.declared_contexts} (loaded one after the other; {actions} actions)"


class _Tensors:
    """What goes in and out: a table where the screen has room for it, else a paragraph each."""

    def __init__(self, group: NetworkGroup) -> None:
        self.group = group

    def _fitting(self, console: Console, options: ConsoleOptions) -> Table:
        table = _table(self.group)
        needed = Measurement.get(console, options.update(max_width=_ENDLESS), table).maximum
        return table if needed <= options.max_width else _paragraphs(self.group)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._fitting(console, options)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._fitting(console, options))


def _directed(group: NetworkGroup) -> Iterator[tuple[str, Tensor]]:
    yield from (("in", tensor) for tensor in group.inputs)
    yield from (("out", tensor) for tensor in group.outputs)


def _table(group: NetworkGroup) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("name", overflow="fold")
    table.add_column("type and shape", overflow="fold")
    table.add_column("bytes", justify="right")
    table.add_column("scale, zero point", overflow="fold")
    table.add_column("in the model", overflow="fold")
    for direction, tensor in _directed(group):
        table.add_row(
            direction,
            _plain(tensor.name),
            _plain(_shape(tensor)),
            str(tensor.frame_size),
            _plain(_quantization(tensor.quantization)),
            _plain(_names(tensor.original_names)),
        )
    return table


def _paragraphs(group: NetworkGroup) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for direction, tensor in _directed(group):
        facts = f"{_shape(tensor)}, {tensor.frame_size} bytes"
        if (quantization := _quantization(tensor.quantization)) != "-":
            scale, comma, zero = quantization.partition(", ")
            facts += f", scale {scale}" + (f", zero point {zero}" if comma else "")
        names = _names(tensor.original_names)
        lines = [tensor.name, facts, *([f"in the model: {names}"] if names else [])]
        grid.add_row(direction, _plain_lines(lines))
    return grid


def _plain_lines(lines: list[str]) -> Text:
    return Text("\n".join(escape_control(line) for line in lines))


def _shape(tensor: Tensor) -> str:
    nms = tensor.nms_shape
    if nms is None:
        return tensor_text(tensor)
    boxes = f"{nms.number_of_classes} classes x {nms.max_bboxes_per_class} boxes"
    return f"{tensor.type}, {tensor.order} ({boxes})"


def _quantization(value: Quantization) -> str:
    if value.per_feature:
        low, high = min(value.scales), max(value.scales)
        return f"{low:.4g} to {high:.4g} (per feature)"
    if not value.scale or (value.scale, value.zero_point, value.limits) == (1.0, 0.0, (0.0, 0.0)):
        return "-"
    return f"{value.scale:.6g}, {value.zero_point:g}"


def _names(names: tuple[str, ...]) -> str:
    return some(names, _MOST_NAMES)


def _nms(op: NmsOp) -> Table:
    grid = facts_grid()
    what = "box decoding" if op.box_decoding_only else "NMS"
    image = f", image {op.image[0]:g}x{op.image[1]:g}" if op.image else ""
    grid.add_row(what, _plain(f"{op.family} on the host -> {op.output}{image}"))
    background = f", background class {op.background_index}" if op.background_removal else ""
    grid.add_row(
        "",
        f"{op.classes} classes{background}, at most {op.max_boxes_per_class} boxes each, "
        f"score > {op.score_threshold:g}, IoU > {op.iou_threshold:g}",
    )
    for decoder in op.decoders:
        inputs = ", ".join(f"{role} {name}" for role, name in decoder.inputs.items())
        stride = f"stride {decoder.stride}: " if decoder.stride else ""
        anchors = " ".join(f"{height:g}x{width:g}" for height, width in decoder.anchors)
        text = f"{stride}{inputs}" + (f"; anchors {anchors}" if anchors else "")
        grid.add_row("", _plain(text))
    return grid

"""What a build would say of a model, said beforehand: its graph, and its script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract import chips, layout
from hefsmith_worker.contract.families import proposed_cut
from hefsmith_worker.contract.findings import ERROR, INFO, WARNING, Finding

from orchestrator.pipeline.inputs import collect
from orchestrator.pipeline.judgement import products_in_8_bit, scaling_findings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.project.loading import LoadedRecipe
    from orchestrator.project.recipe import Arch

#: What a script cannot be read with, whatever the compiler.
_UNREADABLE = frozenset({"syntax", "unknown-command", "missing-argument", "level", "name-twice"})


def lint_graph(
    path: Path,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    start_nodes: Sequence[str] = (),
    end_nodes: Sequence[str] = (),
) -> list[Finding]:
    """Return what stands between an ONNX file and the compiler.

    It is cut where the recipe says, else where a build would cut it.
    """
    from orchestrator.inspect.compiler import LARGEST, judge, weight_of
    from orchestrator.inspect.onnx_file import read_onnx
    from orchestrator.inspect.onnx_report import find_objections

    ends = list(end_nodes) or proposed_cut(find_head(path) or {})
    judged = judge(path, shapes=shapes, start_nodes=start_nodes, end_nodes=ends)
    found = find_objections(read_onnx(path), ends, judged)
    given = set(shapes or {})
    unasked = [
        Finding(
            "lint.large-network",
            INFO,
            f"the network has over {LARGEST >> 20} MiB with its weights, so only its operators' "
            "names were looked at",
            fix="hef build asks the compiler's parser",
        )
    ]
    return [
        *(unasked if judged is None and weight_of(path) > LARGEST else ()),
        *(
            Finding(
                f"onnx.{item.code}",
                ERROR if item.known else WARNING,
                f"{item.message}: {', '.join(item.nodes)}" if item.nodes else item.message,
                fix=item.fix,
            )
            for item in found
            # The recipe's shapes fill what the file leaves open.
            if not (item.code in ("dynamic-shape", "batch") and given)
        ),
    ]


def lint_model(
    loaded: LoadedRecipe,
    project: Path,
    arch: Arch,
    build: Path,
    layers: Mapping[str, Any] | None,
) -> list[Finding]:
    """Return what a build of a recipe would say of its graph and its script.

    ``build`` is the folder of its last build, and ``layers`` the parsed network there, by name.
    Raises :class:`~orchestrator.errors.ConfigError` for what the recipe names and is not there.
    """
    from hefsmith_worker.script.lint import check_text

    recipe = loaded.recipe
    request = collect(loaded, project, arch)
    found: list[Finding] = []
    source = request.parameters["export"]["source"]
    path = build / layout.ONNX
    if source["kind"] == "onnx":
        path = next(one.path for one in request.materials if one.name == source["file"])
    if path.is_file():
        found += lint_graph(
            path,
            shapes=recipe.inputs,
            start_nodes=recipe.parser.start_nodes,
            end_nodes=recipe.parser.end_nodes,
        )
        found += scaling_findings(_scaling(path), request.parameters["calibrate"]["preprocessing"])
    else:
        found.append(
            Finding(
                "lint.no-graph",
                INFO,
                "there is not an ONNX file yet, so the network itself was not looked at",
                fix=f"hef build {loaded.name}, then lint it again",
            )
        )
    script = [str(line) for line in request.parameters["optimize"]["script"]]
    if script:
        found += check_text(
            "\n".join(script),
            "the script",
            layers=None if layers is None else list(layers),
            images=None,
            line=chips.by_name()[arch].line.compiler,
        )
        if layers is None:
            found += unchecked_layers(
                "\n".join(script), f"hef build {loaded.name}, then lint it again"
            )
    told = products_in_8_bit(arch, asked_of_products("\n".join(script), layers))
    return [*found, *([] if told is None else [told])]


def refuse_script(model: str, lines: Sequence[object]) -> None:
    """Refuse a script that no compiler reads, before anything runs: it is read after hours.

    Only what is sure counts; a newer compiler may know more than the table of commands does.
    Raises :class:`~orchestrator.errors.ConfigError`.
    """
    from hefsmith_worker.script.lint import check_text

    from orchestrator.errors import ConfigError, escape_control

    if not lines:
        return
    wrong = [
        finding
        for finding in check_text("\n".join(map(str, lines)))
        if finding.severity == ERROR and finding.code in _UNREADABLE
    ]
    if wrong:
        first = wrong[0]
        more = f" ({first.fix})" if first.fix else ""
        number = first.line or 1
        text = str(lines[number - 1]).strip()[:120] if number <= len(lines) else ""
        msg = escape_control(f"{model}: the script, line {number}: {first.message}{more}: {text}")
        hint = f"hef lint {model} shows all that is wrong with it."
        raise ConfigError(msg, hint=hint, code=f"script.{first.code}")


def unchecked_layers(script: str, fix: str) -> list[Finding]:
    """Return what says that no names of layers were checked, where a script has some.

    They are the compiler's own: an ONNX file does not tell them.
    """
    from hefsmith_worker.script.layer_names import names_layers
    from hefsmith_worker.script.syntax import ScriptSyntaxError, parse

    try:
        if not names_layers(parse(script)):
            return []
    except ScriptSyntaxError:  # a finding of its own
        return []
    message = "the names of its layers were not checked: only a parsed network tells them"
    return [Finding("lint.no-layers", INFO, message, fix=fix)]


def asked_of_products(script: str, layers: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the modes that a script asks for, of products of two tensors and what is beside."""
    from hefsmith_worker.script.precision import around_products, precision_asked
    from hefsmith_worker.script.syntax import ScriptSyntaxError

    try:
        return precision_asked(script, sorted(around_products(layers or {})))
    except ScriptSyntaxError:  # a finding of its own
        return {}


def find_head(path: Path) -> dict[str, object] | None:
    """Return what the graph analysis says the network ends in, ``None`` where it cannot tell.

    It needs the onnx package.
    """
    try:
        from hefsmith_worker.graph import GraphError, analyse
    except ImportError:
        return None
    try:
        return analyse(path).to_dict()
    except (GraphError, OSError, ValueError, MemoryError, RecursionError):
        return None


def _scaling(path: Path) -> dict[str, dict[str, list[float]]]:
    """Return how the network itself scales its inputs; nothing where that cannot be told."""
    try:
        from hefsmith_worker.graph import GraphError
        from hefsmith_worker.graph.scaling import input_scaling
    except ImportError:
        return {}
    try:
        return input_scaling(path)
    except (GraphError, OSError, ValueError, MemoryError, RecursionError):
        return {}

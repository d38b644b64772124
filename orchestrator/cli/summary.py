"""The end of ``hef up``: what was asked and what ran, agreement by step, sizes, files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.errors import escape_control

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.pipeline.builds import Build
    from orchestrator.pipeline.plan import Plan
    from orchestrator.pipeline.proof import Proof

#: Files that a person looks for, in the order in which they are shown.
SHOWN_ROLES = ("hef", "onnx", "har", "script")


def document(build: Build, made: Plan, proof: Proof | None) -> dict[str, Any]:
    """Return the whole outcome as JSON values; the screen shows a part of it."""
    summary = build.summary
    return {
        "model": build.model,
        "arch": build.arch,
        "toolchain": summary["toolchain"],
        "emulated": build.emulated,
        "engine": summary.get("engine") or None,
        "folder": str(build.folder),
        "hef": str(build.hef),
        "stages": {
            stage.name: {
                "cached": stage.entry is not None,
                "seconds": summary["stages"].get(stage.name, {}).get("seconds"),
            }
            for stage in made.stages
        },
        "asked": summary["asked"],
        "ran": summary["ran"],
        "results": {name: entry["result"] for name, entry in summary["stages"].items()},
        "findings": summary["findings"],
        "artifacts": summary["files"],
        "proof": proof.to_json() if proof is not None else None,
    }


def print_plan(plans: Sequence[Mapping[str, Any]]) -> None:
    """Print plans for people, on stdout."""
    from orchestrator.cli.output import print_result

    for plan in plans:
        kind = " (emulated)" if plan["emulated"] else ""
        print_result(f"{plan['model']} for {plan['arch']} with {plan['toolchain']}{kind}")
        for stage in plan["stages"]:
            print_result(f"  {stage['name']:<10} {stage['action']:<11} {stage['key'][:12]}")
        if not plan["commands"]:
            print_result("  nothing to run: everything is there")
        for command in plan["commands"]:
            print_result(f"  $ {command}")
        print_result(f"  -> {plan['artifacts']}")


def print_summary(outcome: Mapping[str, Any]) -> None:
    """Print an outcome for people, on stdout."""
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100, soft_wrap=False)
    title = f"{outcome['model']} for {outcome['arch']}"
    if outcome["emulated"]:
        title += "  EMULATED: made without Hailo's compiler, no measure of a chip"
    console.print(Text(title, style="bold"))
    console.print(_asked_and_ran(outcome))
    proof = outcome["proof"]
    if proof is not None and proof["verdict"]["steps"]:
        console.print(_steps(proof["verdict"]))
    _print_findings(console, outcome)
    files = Table.grid(padding=(0, 2))
    for file in _shown_files(outcome):
        files.add_row(file["path"], _size(file["bytes"]), file["sha256"][:12])
    console.print(files)
    console.print(f"times    {', '.join(_times(outcome))}")
    if proof is not None:
        ship = proof.get("ship")
        if ship:
            console.print(f"device   {proof['device']}: release {ship['release'][:12]}")
        _print_verdict(console, proof)
    console.print(f"folder   {outcome['folder']}", soft_wrap=True)


def _times(outcome: Mapping[str, Any]) -> list[str]:
    found = []
    for name, stage in outcome["stages"].items():
        if stage["cached"]:
            found.append(f"{name} cached")
        elif stage["seconds"] is not None:
            found.append(f"{name} {stage['seconds']:.1f} s")
    return found


def _asked_and_ran(outcome: Mapping[str, Any]) -> Any:
    from rich.table import Table

    asked, ran, results = outcome["asked"], outcome["ran"], outcome["results"]
    export = results.get("export", {})
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "asked", "ran"):
        table.add_column(column)
    level = asked.get("level")
    table.add_row(
        "optimisation level", _text(level, "vendor's default"), _text(ran.get("level_run"), "?")
    )
    table.add_row(
        "calibration images",
        _text(asked.get("images_wanted")),
        f"{_text(asked.get('images'), '?')} found, {_text(ran.get('images_used'), '?')} used",
    )
    table.add_row("ONNX opset", _text(asked.get("opset")), _text(export.get("opset"), "?"))
    table.add_row("compression", _text(asked.get("compression")), _compression(ran))
    return table


def _compression(ran: Mapping[str, Any]) -> str:
    layers = ran.get("four_bit_layers") or []
    return f"{len(layers)} layers with 4-bit weights" if layers else "8-bit weights"


def _steps(verdict: Mapping[str, Any]) -> Any:
    from rich.table import Table

    measures: list[str] = []
    for step in verdict["steps"]:
        measures.extend(name for name in step["measures"] if name not in measures)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("step")
    for name in measures:
        table.add_column(name, justify="right")
    for step in verdict["steps"]:
        table.add_row(
            step["step"],
            *(
                f"{step['measures'][name]:.4g}" if name in step["measures"] else ""
                for name in measures
            ),
        )
    return table


def _print_findings(console: Any, outcome: Mapping[str, Any]) -> None:
    from rich.text import Text

    shown: set[str] = set()
    for finding in outcome["findings"]:
        text = f"{finding['severity']}: {escape_control(finding['message'])} [{finding['code']}]"
        if finding["severity"] == "info" or text in shown:
            continue
        shown.add(text)
        console.print(Text(text, style="yellow" if finding["severity"] == "warning" else "red"))


def _print_verdict(console: Any, proof: Mapping[str, Any]) -> None:
    from rich.text import Text

    verdict = proof["verdict"]
    style = "bold green" if proof["passed"] else "bold red"
    console.print(Text(f"verdict  {escape_control(proof['headline'])}", style=style))
    fault = verdict.get("fault")
    if fault:
        console.print(f"  {escape_control(fault['reason'])}", markup=False)
        for cause in fault["causes"]:
            console.print(f"  - {escape_control(cause['text'])}", markup=False)
            console.print(f"    {escape_control(cause['advice'])}", markup=False)


def _shown_files(outcome: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    files = [file for file in outcome["artifacts"] if file["role"] in SHOWN_ROLES]
    return sorted(files, key=lambda file: SHOWN_ROLES.index(file["role"]))


def _text(value: object, missing: str = "-") -> str:
    return missing if value is None else str(value)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"

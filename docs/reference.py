"""Make the reference from the code: commands, chips, exit codes, script commands, failures.

The site's build does it (``hooks`` in ``mkdocs.yml``); the pages are kept nowhere else.
"""

from __future__ import annotations

import os
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from hefsmith_worker.contract.commands import Argument
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

FOLDER = "reference"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to the site; MkDocs calls this."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, f"{FOLDER}/{name}", content=text))
    return files


def pages() -> dict[str, str]:
    """Return the pages by file name."""
    return {
        "cli.md": cli(),
        "chips.md": chips(),
        "exit-codes.md": exit_codes(),
        "fields.md": fields(),
        "findings.md": findings(),
        "script-commands.md": script_commands(),
        "failures.md": failures(),
    }


def _beside(name: str) -> ModuleType:
    """Return a module of this folder; MkDocs loads each file alone."""
    path = Path(__file__).resolve().with_name(f"{name}.py")
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """Return a Markdown table."""
    lines = [_row(head), "|" + "---|" * len(head), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: tuple[object, ...]) -> str:
    texts = (" ".join(str(cell).split()).replace("|", "\\|") for cell in cells)
    return "| " + " | ".join(texts) + " |"


def cli() -> str:
    """Return the commands with their options, as they say themselves."""
    os.environ["COLUMNS"] = "200"
    import typer
    from typer.cli import get_docs_for_click

    from orchestrator.cli.app import build_app

    command = typer.main.get_command(build_app())
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="hef")
    return text.replace("# `hef`", "# Commands", 1).rstrip() + "\n"


def chips() -> str:
    """Return the chips, one row each."""
    from hefsmith_worker.contract.chips import CHIPS

    def takes(chip: object) -> str:
        return ", ".join(getattr(chip, "takes", ()))

    rows = [
        (
            f"`{chip.name}`",
            chip.title,
            f"{chip.line.compiler}.x",
            f"{chip.line.runtime}.x",
            takes(chip),
            chip.refused or f"`{chip.line.packages['everything']}`",
        )
        for chip in CHIPS
    ]
    head = ("`arch`", "chip", "compiler", "HailoRT", "also runs HEFs for", "on Raspberry Pi OS")
    return f"# Chips\n\n{table(head, rows)}"


def exit_codes() -> str:
    """Return the exit codes and what raises them."""
    from orchestrator import errors

    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.HefsmithError)
    ]
    rows = []
    for code in errors.ExitCode:
        raised = [
            (kind.__doc__ or "").split("\n")[0].replace("``", "`")
            for kind in kinds
            if kind.exit_code is code and kind is not errors.HefsmithError
        ]
        words = {
            "OK": "All went well.",
            "VERDICT": "The verdict is below the thresholds, or nothing is proven.",
        }
        rows.append((int(code), " ".join(raised) or words.get(code.name, "")))
    rows.append((141, "The reader of the output went away (`hef ... | head`)."))
    return (
        f"# Exit codes\n\nThe same for every command.\n\n{table(('code', 'meaning'), rows)}\n"
        "With `--json` the document on stdout is then `error`, with `code` (stable), `message` and "
        "`hint`.\n"
    )


def fields() -> str:
    """Return every key of the files that people write, with what it takes and its default."""
    made = _beside("fields")
    parts = [
        "# Every key\n\nWhat they mean: [the recipe](../recipe.md). `hef config schema` is the same"
    ]
    parts.append(" for editors.\n")
    for name, title in (("model", "`model.yaml`"), ("project", "`hef.yaml`")):
        rows = table(("key", "takes", "default"), made.keys(name))
        parts.append(f"\n## {title}\n\n{rows}")
    head = ("preset", "size", "resize", "colour", "mean", "std", "what it is")
    parts.append(f"\n## Presets of preprocessing\n\n{table(head, made.presets())}")
    return "".join(parts)


def findings() -> str:
    """Return what builds and checks find, by code."""
    made = _beside("fields")
    head = ("code", "severity", "message", "what to do")
    return (
        "# Findings\n\nWhat a build, `hef lint` and `hef calib check` say, by the code in brackets "
        "behind it. `…` stands for a value. An error makes the result impossible or wrong, a "
        f"warning slow, odd or fragile.\n\n{table(head, made.findings())}"
    )


def script_commands() -> str:
    """Return the commands of model scripts that are known, with their versions."""
    from hefsmith_worker.contract.commands import COMMANDS

    def argument(name: str, one: Argument) -> str:
        return f"`{name}` " + (", ".join(sorted(one.choices)) or one.kind)

    rows = []
    for name, row in sorted(COMMANDS.items()):
        words = [argument(key, one) for key, one in row.keyword.items()]
        for group, members in (row.groups or {}).items():
            words += [argument(f"{group}: {key}", one) for key, one in members.items()]
        rows.append((f"`{name}`", " to ".join(row.seen or ()), "; ".join(words)))
    head = ("command", "Model Zoo releases whose scripts have it", "arguments")
    return (
        f"# Commands of model scripts\n\n`hef lint FILE.alls` checks them.\n\n{table(head, rows)}"
    )


def failures() -> str:
    """Return the known failures: what they look like, what they mean, what helps."""
    from orchestrator.diagnose.catalogue import load_catalogue

    parts = ["# Known failures\n\n`hef explain LOG` finds these in a log.\n"]
    entries = sorted(load_catalogue().values(), key=lambda entry: entry.stage)
    stage = ""
    for entry in entries:
        if entry.stage != stage:
            stage = entry.stage
            parts.append(f"\n## {stage}\n")
        parts.append(f"\n### {entry.id} ({entry.severity})\n\n{plain(entry.cause)}\n")
        parts.append(f"\n{plain(entry.remedy)}\n")
    return "".join(parts)


def plain(text: str) -> str:
    """Return a text without what a log would fill in: ``{layer|a layer}`` is "a layer"."""
    text = re.sub(r"\{[a-z_]+(?:\?[^{}|]*)?\|([^{}]*)\}", r"\1", text.strip())
    return re.sub(r"\{[a-z_]+\?[^{}]*\}", "", text)

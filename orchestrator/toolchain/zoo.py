"""The Model Zoo inside an image: one network's YAML, scripts and NMS JSON, brought here once.

The zoo's files are the user's own copy; they go into the cache, never into the project.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hefsmith_worker.contract import names

from orchestrator.errors import ConfigError, escape_control, last_line
from orchestrator.files import remove_tree
from orchestrator.toolchain import probe

if TYPE_CHECKING:
    from orchestrator.toolchain.importer import ImageStore
    from orchestrator.toolchain.registry import ImportedToolchain

#: Prints what a network consists of: its YAML with the bases below it, every script of its name
#: and the JSON files that these refer to. Runs on the image's own Python; arguments: the zoo's
#: package folder, the network's name.
SCRIPT = r"""
import difflib, io, json, os, re, sys
cfg = os.path.join(sys.argv[1], "cfg")
name = sys.argv[2]
networks = os.path.join(cfg, "networks")
found = {}
known = sorted(n[:-5] for n in os.listdir(networks) if n.endswith(".yaml")) \
    if os.path.isdir(networks) else []

def take(path):
    path = os.path.normpath(path)
    key = os.path.relpath(path, cfg).replace(os.sep, "/")
    if key in found or key.startswith("..") or not os.path.isfile(path):
        return ""
    with io.open(path, encoding="utf-8", errors="replace") as stream:
        found[key] = stream.read()
    return found[key]

scripts = set()

def network(path):
    text = take(path)
    for match in re.finditer(r"alls_script:\s*['\"]?([\w./-]+\.alls)", text):
        scripts.add(match.group(1))
    block = re.search(r"^base:\s*(\[[^\]]*\]|(?:\n\s*-[^\n]*)+)", text, re.M)
    for base in re.findall(r"[\w./-]+\.yaml", block.group(1) if block else ""):
        for folder in (cfg, os.path.dirname(path)):
            if os.path.isfile(os.path.join(folder, base)):
                network(os.path.join(folder, base))
                break

if name in known:
    network(os.path.join(networks, name + ".yaml"))
    for folder, _, files in os.walk(os.path.join(cfg, "alls")):
        for script in scripts:
            if os.path.basename(script) in files:
                text = take(os.path.join(folder, os.path.basename(script)))
                for json_name in re.findall(r"nms_postprocess\(\s*['\"]([^'\"]+)['\"]", text):
                    take(os.path.join(folder, json_name))
close = difflib.get_close_matches(name, known, 5, 0.5)
print("\n" + "MARK" + json.dumps({"files": found, "networks": len(known), "close": close}))
""".replace("MARK", probe.MARK)


def bring(
    toolchain: ImportedToolchain, name: str, store: ImageStore, cache: Path, where: str
) -> Path:
    """Return the YAML of a network of the zoo inside ``toolchain``, below ``cache``.

    ``where`` is the place in the recipe, for errors. Raises :class:`ConfigError` for a name
    that the zoo does not have, with those that are like it.
    """
    if not name.replace("_", "").replace(".", "").replace("-", "").isalnum():
        msg = f"{where}: source.zoo: {escape_control(name)!r} is not the name of a network"
        raise ConfigError(msg, code="zoo.name")
    folder = cache / toolchain.image.removeprefix("sha256:")[:24] / name
    yaml = folder / "networks" / f"{name}.yaml"
    if yaml.is_file():
        return yaml
    said = store.ask(toolchain.image, (toolchain.python, "-c", SCRIPT, str(toolchain.zoo), name))
    answer = probe.read_answer(said.stdout)
    if answer is None:
        last = last_line(said.stderr, "no answer")
        msg = f"{where}: source.zoo: the Model Zoo of {toolchain.name} cannot be read: "
        raise ConfigError(msg + escape_control(last[:200]), code="zoo.unreadable")
    files = dict(answer.get("files") or {})
    if f"networks/{name}.yaml" not in files:
        close = ", ".join(escape_control(str(one)) for one in answer.get("close") or ())
        msg = (
            f"{where}: source.zoo: the Model Zoo of {toolchain.name} has no network "
            f"{escape_control(name)} (it has {answer.get('networks', 0)})"
        )
        raise ConfigError(msg, hint=f"Alike: {close}" if close else None, code="zoo.name")
    _write(files, folder)
    return yaml


def _write(files: dict[str, str], folder: Path) -> None:
    """Write the files, all or nothing; a path that leads out of the folder is left out."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".zoo-"))
    try:
        for key, text in files.items():
            if names.fault(key) is not None:
                continue
            path = staging.joinpath(*names.parts(key))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(text), encoding="utf-8", newline="")
        if not folder.exists():
            staging.replace(folder)
    finally:
        remove_tree(staging)

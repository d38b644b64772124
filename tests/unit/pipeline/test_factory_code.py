"""A factory's code is what it imports and reads, and nothing that merely lies beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.pipeline.factory_code import factory_files

NOISE = {
    "model.yaml": "schema: 1",
    "hef.yaml": "",
    "notes.txt": "",
    "unused.py": "import torch",
    "artifacts/net/hailo8l/build.json": "{}",
    "artifacts/net/old.py": "",
    "env/pyvenv.cfg": "",
    "env/lib/site.py": "",
    "calib/list.txt": "",
    ".git/config.py": "",
}


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in {**NOISE, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "net.py"


CASES: dict[str, tuple[dict[str, str], set[str]]] = {
    "alone": ({"net.py": "import torch\n"}, {"net.py"}),
    "a module beside it": (
        {"net.py": "import blocks\n", "blocks.py": "import more\n", "more.py": ""},
        {"net.py", "blocks.py", "more.py"},
    ),
    "a package, its parents too": (
        {
            "net.py": "from parts.deep import head\n",
            "parts/__init__.py": "from . import base\n",
            "parts/base.py": "",
            "parts/deep/__init__.py": "",
            "parts/deep/head.py": "from ..tail import T\n",
            "parts/tail.py": "",
            "parts/other.py": "",
        },
        {
            "net.py",
            "parts/__init__.py",
            "parts/base.py",
            "parts/deep/__init__.py",
            "parts/deep/head.py",
            "parts/tail.py",
        },
    ),
    "an import inside a function": (
        {"net.py": "def build():\n    import late\n", "late.py": ""},
        {"net.py", "late.py"},
    ),
    "a changed sys.path": (
        {
            "net.py": "import sys\nsys.path.insert(0, 'repo/src')\nimport lib.net\n",
            "repo/src/lib/__init__.py": "",
            "repo/src/lib/net.py": "",
        },
        {"net.py", "repo/src/lib/__init__.py", "repo/src/lib/net.py"},
    ),
    "a text that is named": (
        {"net.py": "open('cfg/net.json')\n", "cfg/net.json": "{}", "cfg/other.json": "{}"},
        {"net.py", "cfg/net.json"},
    ),
    "texts whose names are put together": (
        {"net.py": "open(f'cfg/{n}.json')\n", "cfg/a.json": "{}", "cfg/b.json": "{}"},
        {"net.py", "cfg/a.json", "cfg/b.json"},
    ),
    "hidden imports": (
        {"net.py": "import importlib\nimportlib.import_module('a')\n", "a.py": ""},
        {"net.py", "a.py", "unused.py"},
    ),
    "the network's own eval is none": ({"net.py": "net.eval()\n", "a.py": ""}, {"net.py"}),
    "torch.hub": (
        {"net.py": "import torch\ntorch.hub.load('.', 'n', source='local')\n", "hubconf.py": ""},
        {"net.py", "hubconf.py", "unused.py"},
    ),
    "what cannot be read": ({"net.py": "def (:\n", "a.py": ""}, {"net.py", "a.py", "unused.py"}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_code_is_what_is_imported_and_named(name: str, tmp_path: Path) -> None:
    files, wanted = CASES[name]
    assert set(factory_files(tree(tmp_path, files))) == wanted


def test_a_factorys_arguments_may_name_files(tmp_path: Path) -> None:
    file = tree(tmp_path, {"net.py": "def build(cfg): open(cfg)\n", "small.yaml": ""})
    assert set(factory_files(file, ["small.yaml"])) == {"net.py", "small.yaml"}
    assert set(factory_files(file)) == {"net.py"}


def test_a_pickle_may_import_all_code(tmp_path: Path) -> None:
    file = tree(tmp_path, {"net.py": "", "deep/a.py": ""})
    assert set(factory_files(file, everything=True)) == {"net.py", "deep/a.py", "unused.py"}

"""Code in packages: from which folder it is imported, and which files go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.pipeline.factory_code import MOST_FILES, factory_files
from orchestrator.project.code_root import code_root

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS = "class Block:\n    pass\n"


@pytest.mark.parametrize(
    ("files", "code", "root", "taken"),
    [
        # alone, and with what lies beside it
        ({"net": "import torch\n"}, "net", ".", {"net.py"}),
        ({"src/net": "import blocks\n", "src/blocks": BLOCKS}, "src/net", "src",
         {"net.py", "blocks.py"}),
        # a package that names itself, and one that is relative
        ({"pkg/__init__": "", "pkg/nets/__init__": "", "pkg/blocks": BLOCKS,
          "pkg/nets/net": "from ..blocks import Block\n"}, "pkg/nets/net", ".",
         {"pkg/__init__.py", "pkg/nets/__init__.py", "pkg/nets/net.py", "pkg/blocks.py"}),
        ({"src/pkg/__init__": "", "src/pkg/blocks": BLOCKS,
          "src/pkg/net": "from pkg.blocks import Block\n"}, "src/pkg/net", "src",
         {"pkg/__init__.py", "pkg/net.py", "pkg/blocks.py"}),
        # folders without __init__.py
        ({"nets/blocks": BLOCKS, "nets/net": "from .blocks import Block\n"}, "nets/net", ".",
         {"nets/net.py", "nets/blocks.py"}),
        # a repository whose code is run from its top
        ({"models/common": "from utils.general import x\n", "utils/general": "x = 1\n",
          "models/yolo": "from models.common import *\n"}, "models/yolo", ".",
         {"models/yolo.py", "models/common.py", "utils/general.py"}),
        # what is needed above is named by a file that is imported only
        ({"nets/net": "import blocks\n", "nets/blocks": "import tools.x\n", "tools/x": ""},
         "nets/net", ".", {"nets/net.py", "nets/blocks.py", "tools/x.py"}),
        # a file called like the folder that it lies in, and imports of that folder
        ({"model/model": "from model.backbone import x\n", "model/backbone": "x = 1\n"},
         "model/model", ".", {"model/model.py", "model/backbone.py"}),
        # packages in a project whose top is one as well
        ({"__init__": "", "nets/net": "from .tools.own import x\n", "nets/tools/own": "x = 1\n"},
         "nets/net", ".", {"nets/net.py", "nets/tools/own.py"}),
        # a folder above that is called like a package, and holds no code
        ({"nets/net": "import timm\n", "timm/data.txt": ""}, "nets/net", "nets", {"net.py"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("known", [True, False])
def test_code_is_imported_from_above_its_packages(
    files: dict[str, str], code: str, root: str, taken: set[str], known: bool, tmp_path: Path
) -> None:
    if not known:
        (tmp_path / "pyproject.toml").write_text("")
    for name, text in files.items():
        path = tmp_path / (name if "." in name else f"{name}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    file = tmp_path / f"{code}.py"

    found = code_root(file, tmp_path if known else None)

    assert found == (tmp_path / root if root != "." else tmp_path)
    assert set(factory_files(file, root=found)) == taken


def test_no_folder_above_the_project_is_taken(tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text("")
    project = tmp_path / "project"
    project.mkdir()
    (project / "net.py").write_text("import helpers\nfrom . import x\n")

    assert code_root(project / "net.py", project) == project
    assert code_root(project / "net.py") == project


@pytest.mark.parametrize("packages", ["lib/python3.11/site-packages", "lib/python3/dist-packages"])
def test_installed_packages_are_no_code_of_the_project_around_their_environment(
    packages: str, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    installed = tmp_path / ".venv" / packages
    for name in ("torch/__init__", "orchestrator/__init__", "orchestrator/models/digits/model"):
        path = installed / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import torch\n")
    file = installed / "orchestrator/models/digits/model.py"

    assert code_root(file) == code_root(file, tmp_path) == file.parent


def test_more_code_than_a_model_has_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import sys\nsys.path\nimport m0\n")
    for number in range(MOST_FILES + 500):
        (tmp_path / f"m{number}.py").write_text(f"import m{number + 1}\n")

    assert len(factory_files(tmp_path / "net.py")) == MOST_FILES + 1

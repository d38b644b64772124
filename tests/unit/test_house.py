"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = ("orchestrator", "docker/worker", "docker/emulator/packages")


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            if "__pycache__" not in path.parts:
                yield path


@cache
def parsed(path: Path) -> tuple[ast.AST, ...]:
    """Return all that a file says: once, since several rules look at all files."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def looked_at(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Return the modules that a file imports, and what it takes from them as ``module.name``."""
    modules: set[str] = set()
    members: set[str] = set()
    for node in parsed(path):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module)
            members.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(modules), frozenset(members)


def imports(path: Path) -> frozenset[str]:
    return looked_at(path)[0]


def importers(package: str, *folders: str) -> set[str]:
    return {
        path.relative_to(REPOSITORY).as_posix()
        for path in sources(*folders)
        if any(name.split(".")[0] == package for name in imports(path))
    }


def test_only_the_engine_room_knows_docker() -> None:
    assert all(name.startswith("orchestrator/engine/") for name in importers("docker", *CODE))


def test_only_the_device_room_knows_ssh() -> None:
    assert all(name.startswith("orchestrator/device/") for name in importers("asyncssh", *CODE))


def test_only_the_export_and_the_emulators_training_know_the_frameworks() -> None:
    stages = "docker/worker/hefsmith_worker/stages"
    torch = {
        "torch_source.py", "checkpoint.py", "torchvision_ops.py", "structure.py", "steady_norm.py",
        "spared.py",
    }  # fmt: skip
    training = {
        f"docker/emulator/packages/hailo_emulator/{name}.py" for name in ("finetune", "torch_graph")
    }
    assert importers("torch", *CODE) <= {f"{stages}/{name}" for name in torch} | training
    assert importers("tensorflow", *CODE) <= {f"{stages}/tensorflow_source.py"}


def test_only_checking_needs_pydantic() -> None:
    known = {f"orchestrator/{name}.py" for name in ("project/checking", "project/section")}
    known.add("orchestrator/device/replies.py")
    assert importers("pydantic", *CODE) == known


def test_the_hef_room_needs_no_other() -> None:
    for path in sources("orchestrator/hef"):
        for name in imports(path):
            if name.startswith("orchestrator."):
                assert name.split(".")[1] in ("hef", "errors"), f"{path}: {name}"


@pytest.mark.parametrize("room", ["project", "report", "hef"])
def test_pure_rooms_do_not_reach_for_those_that_act(room: str) -> None:
    for path in sources(f"orchestrator/{room}"):
        for name in imports(path):
            acting = ("orchestrator.engine", "orchestrator.cli", "orchestrator.pipeline")
            assert not name.startswith(acting), f"{path}: {name}"


@cache
def architecture() -> ModuleType:
    path = REPOSITORY / "docs" / "architecture.py"
    spec = importlib.util.spec_from_file_location("architecture", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_room_knows_only_those_below_it() -> None:
    page = architecture()
    storey = {room: number for number, rooms in enumerate(page.STOREYS) for room in rooms}
    assert set(storey) == set(page.ROOMS.values())
    for here, there in page.edges():
        assert storey[here] < storey[there], f"{here} imports {there}"


def test_the_picture_of_the_rooms_is_true() -> None:
    assert architecture().main(["--check"]) == 0, "run: python docs/architecture.py"


def test_no_module_needs_itself_by_a_detour() -> None:
    modules = {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts): path
        for path in sources("orchestrator")
    }
    needs = {name: modules_in(path) & modules.keys() for name, path in modules.items()}
    try:
        list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def modules_in(path: Path) -> frozenset[str]:
    """Return what a file imports, ``from package import module`` as the module, types too."""
    modules, members = looked_at(path)
    return modules | members


def test_no_file_has_two_nouns_in_it() -> None:
    lists = (REPOSITORY / "orchestrator/diagnose/failures").glob("*.yaml")
    for path in [*sources(*CODE), *sources("tests"), *lists]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 600, f"{path.relative_to(REPOSITORY)} has {lines} lines"


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    for path in [*sources(*CODE), *sources("tests")]:
        assert path.stem not in ("utils", "util", "helpers", "misc", "common"), path


def ruff(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache"],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )


def test_ruff_has_nothing_to_say() -> None:
    done = ruff("check", "--output-format", "concise", ".")
    assert done.returncode == 0, done.stdout


@pytest.mark.engine
@pytest.mark.parametrize("platform", ["linux", "win32", "darwin"])
def test_mypy_has_nothing_to_say(platform: str, tmp_path: Path) -> None:
    """Calls that a system lacks stand behind ``sys.platform``: there they are unreachable."""
    foreign = () if platform == "linux" else ("--platform", platform, "--no-warn-unreachable")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path), *foreign],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_no_constant_is_given_a_second_value() -> None:
    """The last one would count everywhere in the module, above it too."""
    found = []
    for path in sources(*CODE):
        names: list[str] = []
        (module, *_) = parsed(path)
        assert isinstance(module, ast.Module)
        for node in module.body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign):
                targets = [node.target]
            names += [one.id for one in targets if isinstance(one, ast.Name) and one.id.isupper()]
        found += [f"{path}: {name}" for name in set(names) if names.count(name) > 1]
    assert found == []


def test_what_is_in_a_dictionary_is_mostly_said() -> None:
    """A value that may be anything is checked by nobody: dataclasses, or ``dict[str, object]``."""
    texts = [path.read_text(encoding="utf-8") for path in sources(*CODE)]
    assert sum(text.count("dict[str, Any]") for text in texts) < 120


#: Class names that a reader meets in two meanings, and why they stay.
DOUBLES = {
    "ImageStore": "what importing needs of the engine's: rooms beside each other share no class",
    "Interrupted": "an event of the worker, and the error that the host makes of it",
    "Model": "programs on the device: each stands alone",
    "Node": "ONNX's own word: each reader of its files has one",
    "StageFailed": "an event of the worker, and the error that the host makes of it",
}


def module_of(path: Path) -> str:
    name = path.relative_to(REPOSITORY).with_suffix("").as_posix()
    for folder in CODE[1:]:
        name = name.removeprefix(f"{folder}/").removeprefix(f"{Path(folder).parent.as_posix()}/")
    return name.replace("/", ".").removesuffix(".__init__")


def test_a_class_name_means_one_thing_where_a_reader_meets_it() -> None:
    """A room names a class once, and no file reaches for two modules that name one alike."""
    defined: dict[str, set[str]] = {}
    for path in sources(*CODE):
        for node in parsed(path):
            if isinstance(node, ast.ClassDef):
                defined.setdefault(node.name, set()).add(module_of(path))
    twice = {name: modules for name, modules in defined.items() if len(modules) > 1}
    found: dict[str, str] = {}
    for name, modules in twice.items():
        parts = [one.split(".") for one in modules]
        rooms = [".".join(one[:2]) if one[0] == "orchestrator" else one[0] for one in parts]
        if len(set(rooms)) < len(rooms):
            found[name] = f"{sorted(modules)}"
    for path in sources(*CODE):
        reached = modules_in(path) | {module_of(path)}
        for name, modules in twice.items():
            if len(modules & reached) > 1:
                found[name] = f"{module_of(path)} reaches {sorted(modules & reached)}"
    assert found.keys() == DOUBLES.keys(), found

"""Projects of others: what they run, read and send before their user has said a word."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from orchestrator import paths
from orchestrator.device.base import DeviceSpec
from orchestrator.device.registry import save_user_device
from orchestrator.engine.base import EngineInfo
from orchestrator.errors import ConfigError, EngineError
from orchestrator.pipeline import metric, pictures, targets, trusting
from orchestrator.pipeline.cache import StageCache
from orchestrator.pipeline.devices import load_devices
from orchestrator.pipeline.inputs import BuildRequest, collect
from orchestrator.pipeline.observer import Observer
from orchestrator.pipeline.pictures import make_data
from orchestrator.pipeline.session import BuildSession
from orchestrator.project import trust
from orchestrator.project.ci import write_workflow
from orchestrator.project.loading import load_recipe
from orchestrator.project.settings import resolve
from orchestrator.project.workspace import open_workspace

from .conftest import Tally

RECIPE = """\
source: {torch: model.py:build}
inputs: {image: [1, 3, 8, 8]}
calibration: {source: ../../calib/a.npy}
postprocess: {metric: "metric.py:score"}
"""
NO_BOX = EngineInfo("local", "here", "local", "1", boxed=False)
BUBBLE = replace(NO_BOX, sandbox="bubblewrap")
DOCKER = EngineInfo("docker", "here", "unix:///x", "1")


#: The guard is the same on every system; what it guards against needs links to be made.
needs_links = pytest.mark.skipif(
    "os.name == 'nt'", reason="Windows lets only administrators make symbolic links"
)


@pytest.fixture(autouse=True)
def nobody_said_a_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(trust.VARIABLE, raising=False)
    monkeypatch.setenv("HEFSMITH_DATA", str(tmp_path / "data-of-hef"))


def fill(root: Path, recipe: str = RECIPE) -> Path:
    folder = root / "models" / "net"
    folder.mkdir(parents=True, exist_ok=True)
    (root / "calib").mkdir(exist_ok=True)
    (folder / "model.yaml").write_text(recipe)
    (folder / "model.py").write_text("from helper import net\ndef build():\n    return net()\n")
    (folder / "helper.py").write_text("import torch\ndef net():\n    return torch.nn.ReLU()\n")
    (folder / "metric.py").write_text("def score(a, b, c):\n    return 1\n")
    np.save(root / "calib" / "a.npy", np.zeros((2, 8, 8, 3), np.uint8))
    return root


def git(folder: Path, *words: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    name = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", *name, *words]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository that somebody made by hand."""
    root = fill(tmp_path / "origin")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    return root


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", str(origin), "clone")
    return tmp_path / "clone"


class Screen(Observer):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def ask(root: Path) -> tuple[BuildRequest, list[str]]:
    workspace, screen = open_workspace(root), Screen()
    session = BuildSession(workspace, resolve(workspace, os.environ, {}), screen)
    return session.request(session.recipe("net"), "hailo8l"), screen.notes


def test_a_clone_is_told_from_what_was_made_here(
    clone: Path, origin: Path, tmp_path: Path, tally: Tally
) -> None:
    plain = fill(tmp_path / "plain")
    git(clone, "worktree", "add", "-q", "../tree")
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    git(fetched, "init", "-q")
    git(fetched, "remote", "add", "origin", "https://me:word@example.org/x.git")
    git(origin, "remote", "add", "backup", "https://example.org/mine.git")
    for folder in (clone, clone / "models" / "net", tmp_path / "tree", fetched):
        tally.held(str(folder), trust.standing(folder).stranger)
    assert "word" not in str(trust.standing(fetched).foreign)
    for folder in (plain, origin, origin / "models"):
        assert not trust.standing(folder).stranger, folder


def test_the_code_of_a_clone_runs_in_a_box_alone(clone: Path, origin: Path) -> None:
    request, notes = ask(clone)
    assert request.untrusted == (
        "the factory model.py:build, with 1 more files", "the metric metric.py:score",
    )  # fmt: skip
    assert len(notes) == 1
    assert "model.py:build" in notes[0]
    assert f"hef trust {clone}" in notes[0]
    for engine in (BUBBLE, DOCKER):
        trusting.check_box(request, engine)
    with pytest.raises(EngineError, match=r"model\.py:build") as caught:
        trusting.check_box(request, NO_BOX)
    assert f"hef trust {clone}" in str(caught.value.hint)
    own, told = ask(origin)
    trusting.check_box(own, NO_BOX)
    assert not told


def test_a_recipe_drafted_elsewhere_makes_a_clones_code_no_better(
    clone: Path, tmp_path: Path
) -> None:
    """``hef init`` looks at a network by a recipe of its own, in the cache."""
    draft = fill(tmp_path / "cache") / "models" / "net"
    code = clone / "models" / "net" / "model.py"
    (draft / "model.yaml").write_text(RECIPE.replace("model.py:build", f"{code}:build"))
    workspace = open_workspace(clone)
    session = BuildSession(workspace, resolve(workspace, os.environ, {}), Screen())
    request = session.request(load_recipe(draft), "hailo8l")
    with pytest.raises(EngineError):
        trusting.check_box(request, NO_BOX)


def test_the_metric_of_a_clone_runs_in_a_box_alone(
    clone: Path, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metric, "boxed_program", lambda: None)
    with pytest.raises(ConfigError, match="metric") as caught:
        metric.load_metric("metric.py:score", clone / "models" / "net")([], [], [])
    assert caught.value.code == "trust.no-box"
    assert metric.load_metric("metric.py:score", origin / "models" / "net")([], [], []) == 1


def test_a_session_refuses_it_before_anything_runs(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.engine import local_job

    monkeypatch.setattr(local_job, "boxed_program", lambda: None)
    workspace = open_workspace(clone)
    session = BuildSession(workspace, resolve(workspace, os.environ, {"engine": "local"}), Screen())
    with pytest.raises(EngineError) as caught:
        session.build(session.recipe("net"), "hailo8l")
    assert caught.value.code == "trust.no-box"


def test_saying_it_once_is_enough(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust.trust(clone)
    assert ask(clone) == (replace(ask(clone)[0], untrusted=()), [])
    assert list(trust.trusted_folders()) == [clone]
    (clone.parent / "link").symlink_to(clone)
    assert not trust.standing(clone.parent / "link").stranger, "by the real path"
    trust.revoke(clone)
    assert trust.standing(clone).stranger
    with pytest.raises(ConfigError, match="not on the list"):
        trust.revoke(clone)
    monkeypatch.setenv(trust.VARIABLE, "1")
    assert not trust.standing(clone).stranger


def test_nothing_in_the_project_makes_it_trusted(clone: Path) -> None:
    (clone / "trusted.json").write_text(f'{{"folders": {{"{clone}": 1}}}}')
    (clone / "hef.yaml").write_text("trusted: true\n")
    assert trust.standing(clone).stranger


@pytest.mark.parametrize("way", ["path", "list", "link", "coco"])
def test_a_clone_reads_nothing_outside(way: str, clone: Path, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    np.save(private / "a.npy", np.zeros((2, 8, 8, 3), np.uint8))
    (private / "a.png").write_bytes(b"x")
    source = f"{private}/a.npy"
    if way == "list":
        (clone / "calib" / "list.txt").write_text(f"{private}/a.png\n")
        source = "../../calib/list.txt"
    elif way == "link":
        (clone / "calib" / "pictures").symlink_to(private)
        source = "../../calib/pictures"
    elif way == "coco":
        (clone / "calib" / "set.json").write_text(
            '{"images": [{"id": 1, "file_name": "../../private/a.png"}], "annotations": [],'
            ' "categories": []}'
        )
        source = "../../calib/set.json"
    text = RECIPE.replace("../../calib/a.npy", source)
    fill(clone, text)
    with pytest.raises(ConfigError, match="outside") as caught:
        ask(clone)
    assert str(private) in caught.value.message
    assert "allow_outside: true" in str(caught.value.hint)
    fill(clone, f"{text}allow_outside: true\n")
    assert any(str(private) in one for one in ask(clone)[1]), "allowed, and shown"
    fill(clone, text)
    trust.trust(clone)
    ask(clone)


@needs_links
def test_a_clone_reads_nothing_outside_by_another_way(
    clone: Path, tmp_path: Path, tally: Tally
) -> None:
    """What is only read here, and what a link stands for, ends in the build all the same."""
    private = tmp_path / "private"
    private.mkdir()
    for name in ("secret.txt", "a.png", "more.py"):
        (private / name).write_text("kept = 'of the user'\n" * 30)
    secret = private / "secret.txt"
    weights = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    weights.external_data.add(key="location", value="w.bin")
    graph = onnx.GraphProto(name="g", initializer=[weights])
    (clone / "net.onnx").write_bytes(onnx.ModelProto(graph=graph).SerializeToString())
    links = {
        "labels.txt": secret, "w.bin": secret, "calib/one/a.png": private / "a.png",
        "calib/two/in": Path("../three"), "calib/three/set.npy": secret,
        "models/net/helper.py": private / "more.py", "calib/kept/b.png": Path("../a.npy"),
        "calib/kept/.kept/c.png": secret, "calib/kept/env/bin/python": secret,
    }  # fmt: skip
    for name, target in links.items():
        place = clone / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if name != "models/net/helper.py":
            place.symlink_to(target)
    of_code, of_calib = "source: {torch: model.py:build}", "../../calib/a.npy"
    ways = {
        "labels": RECIPE.replace("{metric", f"{{labels: {secret}, metric"),
        "a link to labels": RECIPE.replace("{metric", "{labels: ../../labels.txt, metric"),
        "a script": f"{RECIPE}optimization: {{script_file: {secret}}}\n",
        "a link to weights": RECIPE.replace(of_code, "source: {onnx: ../../net.onnx}"),
        "a link to a picture": RECIPE.replace(of_calib, "../../calib/one"),
        "a link behind a link": RECIPE.replace(of_calib, "../../calib/two"),
        "a link to code": RECIPE,
    }
    for way, text in ways.items():
        fill(clone, text)
        if way == "a link to code":
            (clone / "models/net/helper.py").unlink()
            (clone / "models/net/helper.py").symlink_to(private / "more.py")
        try:
            ask(clone)
        except ConfigError as error:
            tally.held(way, error.code == "trust.outside" and str(private) in error.message)
        else:
            tally.held(way, False)
    (clone / "models/net/helper.py").unlink()
    fill(clone, RECIPE.replace(of_calib, "../../calib/kept"))
    (clone / "calib/kept/env/pyvenv.cfg").touch()
    ask(clone)  # a link that stays inside, and those where no picture is looked for


def test_your_own_project_reads_where_it_likes(origin: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.zeros((2, 8, 8, 3), np.uint8))
    fill(origin, RECIPE.replace("../../calib/a.npy", str(tmp_path / "b.npy")))
    assert ask(origin)[1] == []


def test_a_clone_does_not_say_where_files_go(
    clone: Path, tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacks = {
        "store": "store: https://me:canary@example.org/x\n",
        "store in a folder": f"store: {tmp_path}/drop\n",
        "engine": "engine: ssh://them@example.org\n",
        "engine by name": "engine: theirs\nengines: {theirs: {address: 'tcp://example.org'}}\n",
        "artifacts": "artifacts: ../out\n",
        "artifacts elsewhere": f"artifacts: {tmp_path}/out\n",
        "cache": f"cache: {tmp_path}/their-cache\n",
    }
    for what, text in attacks.items():
        (clone / "hef.yaml").write_text(text)
        with monkeypatch.context() as patch:
            if what == "cache":  # the environment goes before hef.yaml
                patch.delenv("HEFSMITH_CACHE")
            try:
                ask(clone)
            except ConfigError as error:
                held = error.code == "trust.settings" and "canary" not in error.message
                tally.held(what, held)
            else:
                tally.held(what, False)
    (clone / "hef.yaml").write_text("engine: local\nartifacts: out\nstrict: true\n")
    ask(clone)


@pytest.mark.parametrize("name", ["docker", "local", "auto"])
def test_no_entry_takes_the_place_of_an_engines_own_word(clone: Path, name: str) -> None:
    # hef itself says "use Docker: --engine docker" to whoever does not trust a project.
    (clone / "hef.yaml").write_text(f"engines: {{{name}: {{address: 'tcp://example.org:1'}}}}\n")
    with pytest.raises(ConfigError, match=f"{name} has a meaning of its own"):
        open_workspace(clone)


@pytest.mark.parametrize(
    "text",
    ["devices: {embedded: {host: h}}", "devices: {all: {host: h}}", "groups: {embedded: []}"],
)
def test_no_entry_takes_the_place_of_a_devices_own_word(clone: Path, text: str) -> None:
    (clone / "hef.yaml").write_text(text)
    with pytest.raises(ConfigError, match="has a meaning of its own"):
        open_workspace(clone)


def test_a_clones_engine_is_not_used_when_it_is_named_on_the_command_line(clone: Path) -> None:
    (clone / "hef.yaml").write_text("engines: {fast: {address: 'tcp://127.0.0.1:9'}}\n")
    workspace = open_workspace(clone)
    settings = resolve(workspace, {}, {"engine": "fast"})
    with pytest.raises(ConfigError) as caught:
        targets.open_engine(settings, workspace, Screen())
    assert caught.value.code == "trust.settings"
    trust.trust(clone)
    with pytest.raises(EngineError):  # now it is asked, and is not there
        targets.open_engine(settings, workspace, Screen())


def test_an_engine_in_the_settings_of_a_clone_is_asked_by_no_command(clone: Path) -> None:
    (clone / "hef.yaml").write_text("engine: tcp://127.0.0.1:9\n")
    workspace = open_workspace(clone)
    with pytest.raises(ConfigError) as caught:
        targets.open_engine(resolve(workspace, {}, {}), workspace, Screen())
    assert caught.value.code == "trust.settings"


def test_a_clone_stops_no_service_and_takes_no_device_of_the_users(clone: Path) -> None:
    save_user_device(DeviceSpec(name="pi", host="my.example.org"))
    (clone / "hef.yaml").write_text("devices: {pi: {host: theirs.example.org}, pi2: {host: h}}\n")
    found = load_devices(open_workspace(clone)).devices
    assert (found["pi"].host, found["pi2"].host) == ("my.example.org", "h")
    (clone / "hef.yaml").write_text("devices: {pi2: {host: h, service: ssh}}\n")
    with pytest.raises(ConfigError, match=r"devices\.pi2\.service: ssh") as caught:
        load_devices(open_workspace(clone))
    assert caught.value.code == "trust.settings"
    trust.trust(clone)
    assert load_devices(open_workspace(clone)).devices["pi2"].service == "ssh"


@pytest.mark.parametrize(
    "entry", ["host: 'x$(id)'", "host: 'a;b.lan'", "{host: h, user: 'a;b'}", "{host: h, user: -l}",
              "{host: h, service: 'x; reboot'}"],
)  # fmt: skip
def test_a_device_of_a_project_is_no_piece_of_a_command(origin: Path, entry: str) -> None:
    """ssh puts host and user into the commands of its configuration, and hints print them."""
    text = entry if entry.startswith("{") else f"{{{entry}}}"
    (origin / "hef.yaml").write_text(f"schema: 1\ndevices:\n  pi: {text}\n")
    with pytest.raises(ConfigError, match=r"hef\.yaml:3:.*devices\.pi: "):
        load_devices(open_workspace(origin))


@needs_links
def test_results_do_not_leave_a_clone_by_its_links(
    clone: Path, tmp_path: Path, tally: Tally
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ways = ("artifacts", "artifacts/net", "artifacts/net/hailo8l", "artifacts/net/sets",
            "artifacts/net/sets/small/hailo8")  # fmt: skip
    for way in ways:
        place = clone / way
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(out)
        try:
            ask(clone)
        except ConfigError as error:
            tally.held(way, error.code == "trust.link" and str(out) in error.message)
        else:
            tally.held(way, False)
        place.unlink()
        shutil.rmtree(clone / "artifacts", ignore_errors=True)
    (clone / "kept").mkdir()
    (clone / "artifacts").symlink_to("kept")
    ask(clone)  # a link that stays inside


@needs_links
@pytest.mark.parametrize("link", [".github", ".github/workflows"])
def test_a_workflow_does_not_leave_the_project_by_a_link(
    clone: Path, tmp_path: Path, link: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (clone / link).parent.mkdir(exist_ok=True)
    (clone / link).symlink_to(out)
    with pytest.raises(ConfigError, match="is a link to"):
        write_workflow(clone, "github")
    assert not list(out.iterdir())


def test_no_file_of_a_clone_names_a_cluster(clone: Path, tally: Tally) -> None:
    # What a scheduler sends is unpickled by Dask: only the user's own command may name one.
    folder = clone / "models" / "net"
    for file, honest in ((clone / "hef.yaml", "schema: 1\n"), (folder / "model.yaml", RECIPE)):
        for line in ("cluster: tcp://h:8786", "scheduler: tcp://h:8786", "run: {cluster: tcp://h}"):
            file.write_text(f"{honest}{line}\n")
            try:
                ask(clone)
            except ConfigError as error:
                tally.held(f"{file.name} {line}", line.partition(":")[0] in error.message)
            else:
                tally.held(f"{file.name} {line}", False)
            file.write_text(honest)
    assert not [one.name for one in resolve(open_workspace(clone), {}, {}) if "cluster" in one.name]


def test_the_command_says_it(clone: Path, tmp_path: Path) -> None:
    def hef(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "orchestrator", "trust", *words]
        return subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)

    assert hef().stdout == f"trusted: {clone}\n"
    assert hef("--list").stdout == f"{clone}\n"
    assert hef("--revoke").stdout == f"no longer trusted: {clone}\n"
    assert hef("--list").stdout == ""
    assert hef(str(tmp_path / "none")).returncode == 2


def test_a_first_recipe_of_ones_own_is_trusted(clone: Path, tmp_path: Path) -> None:
    def init(name: str, folder: Path) -> None:
        words = ["init", name, "--onnx", "net.onnx", "--yes"]
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *words],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    shape = (onnx.TensorProto.FLOAT, [1, 3, 8, 8])
    ends = [onnx.helper.make_tensor_value_info(one, *shape) for one in "xy"]
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    onnx.save(onnx.helper.make_model(graph), clone / "net.onnx")
    init("mine", clone)
    assert trust.standing(clone).stranger, "its other recipe is a stranger's"
    library = tmp_path / "library"
    git(tmp_path, "clone", "-q", str(tmp_path / "origin"), "library")
    (library / "models" / "net" / "model.yaml").unlink()
    shutil.copy(clone / "net.onnx", library)
    init("mine", library)
    assert not trust.standing(library).stranger


# --- what calls itself bundled --------------------------------------------------------------------


def bundled_clone(root: Path, *changes: tuple[str, str], name: str = "digits") -> Path:
    """A repository that has the bundled model, as one that was begun with it has; cloned."""
    origin = root / f"origin of {name}"
    folder = origin / "models" / name
    shutil.copytree(paths.bundled_model("digits"), folder)
    text = (folder / "model.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "model.yaml").write_text(text)
    (folder / "evil.py").write_text(
        f"def run(*_):\n    open({str(root / 'canary')!r}, 'w').write('run')\nrun()\n"
    )
    (origin / "hef.yaml").write_text("schema: 1\n")
    git(origin, "init", "-q")
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "first")
    git(root, "clone", "-q", str(origin), f"clone of {name}")
    return root / f"clone of {name}"


@pytest.mark.parametrize(
    "maker",
    [
        "/proc/self/cwd/models/digits/evil.py:run", "FOLDER/evil.py:run", "evil.py:run",
        "./data.py:prepare", "../digits/evil.py:run", "train.py:main", "data.py:Path", ":run",
        "data.py:prepare:prepare", "data.py",
    ],
)  # fmt: skip
def test_a_recipe_names_no_code_for_its_pictures_but_the_bundled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally, maker: str
) -> None:
    """It ran: an absolute path is the same file below whatever folder it is joined to."""
    clone = bundled_clone(tmp_path, ("data.py:prepare", maker))
    folder = clone / "models" / "digits"
    recipe = folder / "model.yaml"
    recipe.write_text(recipe.read_text().replace("FOLDER", str(folder)))
    # What train.py imports is not what is compared.
    for name in ("data.py", "model.py"):
        (folder / name).write_text((folder / "evil.py").read_text())
    monkeypatch.chdir(clone)
    workspace = open_workspace(clone)
    loaded = load_recipe(folder)
    with pytest.raises(ConfigError, match="only the models that come with hefsmith"):
        make_data(loaded, workspace, Screen(), StageCache(tmp_path / "cache"))
    tally.held(maker, not (tmp_path / "canary").exists())


def test_pictures_are_made_by_the_code_that_came_with_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    clone = bundled_clone(tmp_path)
    ran: list[Path] = []
    monkeypatch.setattr(
        pictures, "_run_maker", lambda _l, script, _f, draft: ran.append(script) or draft.mkdir()
    )
    workspace = open_workspace(clone)
    loaded = load_recipe(clone / "models" / "digits")
    make_data(loaded, workspace, Screen(), StageCache(tmp_path / "cache"))
    # Not the file of the clone, which may be another one by now.
    tally.held(str(ran), ran == [paths.bundled_model("digits") / "data.py"])
    shutil.rmtree(clone / "calib")
    (tmp_path / "mine").mkdir()
    (clone / "calib").symlink_to(tmp_path / "mine")
    with pytest.raises(ConfigError, match="through a link"):
        make_data(loaded, workspace, Screen(), StageCache(tmp_path / "cache"))
    tally.held("a link", not list((tmp_path / "mine").iterdir()))


def test_what_has_the_bundled_code_may_no_more_than_others(tmp_path: Path, tally: Tally) -> None:
    """The same bytes: but another name in them as the factory, other values, other files."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "a.npy").write_bytes(b"x")
    reads = ("source: calib/digits/calibration", f"source: {secret}")
    clone = bundled_clone(tmp_path, reads, name="digits")
    (clone / "calib/digits/validation").mkdir(parents=True)
    loaded = load_recipe(clone / "models" / "digits")
    workspace = open_workspace(clone)
    judge = trusting.ProjectTrust(workspace, resolve(workspace, os.environ, {}), print)
    with pytest.raises(ConfigError, match="outside of its"):
        judge.judged(loaded, collect(loaded, clone, "hailo8l"))
    tally.held("another's pictures", True)
    for number, change in enumerate(
        (("model.py:build", "data.py:prepare"), ("  weights:", "  kwargs: {a: 1}\n  weights:"))
    ):
        root = tmp_path / str(number)
        root.mkdir()
        clone = bundled_clone(root, change)
        for part in ("calibration", "validation"):
            (clone / "calib" / "digits" / part).mkdir(parents=True)
        loaded = load_recipe(clone / "models" / "digits")
        request = collect(loaded, clone, "hailo8l")
        tally.held(str(change), not trusting.is_bundled_code(loaded, request))
    (tmp_path / "same").mkdir()
    pictured = ("source: calib/digits/", "source: models/")
    same = bundled_clone(tmp_path / "same", ("count: 1024", "count: 4"), pictured)
    for part in ("calibration", "validation"):
        (same / "models" / part).mkdir()
    loaded = load_recipe(same / "models" / "digits")
    assert trusting.is_bundled_code(loaded, collect(loaded, same, "hailo8l"))

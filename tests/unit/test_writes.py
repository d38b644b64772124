"""Every place that writes a file: by the one atomic writer, or listed here with the reason.

Whoever adds a write either takes ``orchestrator.files.write_atomic`` or ``replacing``, or says
here why a reader never sees half of it. Nothing else may stand in the list.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOMS = ("orchestrator", "docker/worker/hefsmith_worker")

#: Methods and functions that make or change a file, whatever they are called on.
ALWAYS = {
    "write_text", "write_bytes", "mkstemp", "copytree", "copyfile", "copy2", "symlink_to",
    "hardlink_to", "truncate", "savez", "savez_compressed", "extractall", "rename", "touch",
    "NamedTemporaryFile",
}  # fmt: skip
#: Those that other things have, too: of these modules only.
OF_MODULE = {
    "os": {"link", "symlink", "replace", "mkfifo", "truncate"}, "shutil": {"copy", "move"},
    "np": {"save"}, "onnx": {"save"}, "onnx_files": {"save"}, "processes": set(),
}  # fmt: skip
_MODE = re.compile(r"[rwaxbt+U]+")


def writes(node: ast.Call) -> bool:
    """Tell whether a call may make or change a file."""
    function = node.func
    name = getattr(function, "attr", getattr(function, "id", ""))
    if name in ALWAYS:
        return True
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    if name in ("open", "fdopen", "ZipFile", "TarFile"):
        modes = [one.value for one in given if isinstance(one, ast.Constant)]
        text = ast.unparse(node)
        return bool(re.search(r"O_(WRONLY|RDWR|CREAT|APPEND)", text)) or any(
            isinstance(mode, str) and _MODE.fullmatch(mode) and set(mode) & set("wax+")
            for mode in modes
        )
    if not isinstance(function, ast.Attribute):
        return False
    owner = ast.unparse(function.value)
    if owner in OF_MODULE:
        return name in OF_MODULE[owner]
    # Path.replace and Path.rename take one thing, str.replace two, dataclasses' names them; a
    # picture's save takes where to.
    if name == "replace":
        return len(node.args) == 1 and not node.keywords
    return name == "save" and bool(node.args) and owner.split(".")[-1] not in ("registry", "memory")


def found_in(path: Path, name: str) -> Iterator[str]:
    """Yield ``file::function`` for every call that writes."""

    left: list[tuple[ast.AST, str]] = [(ast.parse(path.read_text(encoding="utf-8")), "")]
    while left:
        node, inside = left.pop()
        for child in ast.iter_child_nodes(node):
            within = inside
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                within = f"{inside}.{child.name}" if inside else child.name
            if isinstance(child, ast.Call) and writes(child):
                yield f"{name}::{inside}"
            left.append((child, within))


def places(repository: Path) -> set[str]:
    """Return every place of the code that writes."""
    found = set()
    for room in ROOMS:
        for path in sorted((repository / room).rglob("*.py")):
            found.update(found_in(path, path.relative_to(repository).as_posix()))
    return found


WORKER = "docker/worker/hefsmith_worker/"
HOST = "orchestrator/"

#: Why a place writes by itself, and the places. A reason is one that a reader can check.
REASONS: dict[str, tuple[str, ...]] = {
    "the atomic writer itself": (
        HOST + "files.py::_move",
        HOST + "files.py::replacing",
    ),
    "the work folder of a job: the host takes a file when the job announces it whole": tuple(
        WORKER + one
        for one in (
            "calibration/build.py::_build",
            "calibration/build.py::_compact",
            "calibration/build.py::_publish",
            "calibration/contact_sheet.py::save_contact_sheet",
            "calibration/work.py::_write_row",
            "golden.py::GoldenWriter._masks",
            "golden.py::GoldenWriter.keep_graph_outputs",
            "golden.py::GoldenWriter.prepare_inputs",
            "golden.py::save_detections",
            "golden.py::save_step",
            "onnx_files.py::_copy_new",
            "onnx_files.py::copy_onnx",
            "onnx_files.py::save",
            "stages/compile.py::run",
            "stages/export.py::run",
            "stages/look.py::_as_onnx",
            "stages/look.py::_onnx",
            "stages/optimize.py::_quantise",
            "stages/parse.py::_save_tail",
            "stages/parse.py::_translate_onnx",
            "stages/readers.py::_bring_onnx",
            "stages/readers.py::_bring_torch",
            "stages/tensorflow_source.py::_write_onnx",
            "stages/tensorflow_source.py::prepare",
            "stages/torch_source.py::_drop_traces",
            "workspace.py::Workspace.write_json",
        )
    ),
    "a scratch folder of one process, which nobody else reads": (
        WORKER + "calibration/archives.py::_decompress",
        WORKER + "calibration/arrays.py::list_npz",
        WORKER + "calibration/video.py::list_video",
        WORKER + "contact.py::Probe.nms",
        WORKER + "contact.py::Probe.quantised",
        WORKER + "contact.py::save",
        HOST + "cli/toolchain_check.py::_pictures",
        HOST + "device/embedded.py::_surroundings",
        HOST + "engine/transfer.py::stage_links",
        HOST + "pipeline/start/look.py::_follow",
        HOST + "pipeline/start/look.py::_run",
        HOST + "pipeline/start/look.py::look",
        HOST + "pipeline/matrix/orders.py::open_place",
        HOST + "pipeline/metric.py::_write",
        HOST + "pipeline/metric_program.py::main",
        HOST + "pipeline/finished/signatures.py::check",
    ),
    "the folder of a build that is not finished, and takes its place by a rename": (
        HOST + "engine/launch.py::Launcher.launch",
        HOST + "engine/local_job.py::LocalRunning.launch",
        HOST + "pipeline/background.py::_save",
        HOST + "pipeline/background.py::start",
        HOST + "pipeline/finalize.py::accept",
        HOST + "pipeline/jobs.py::write_plan",
        HOST + "pipeline/runner.py::follow",
    ),
    "inputs lent to a job: made exclusively, in a folder made for it": (
        HOST + "engine/local.py::lend",
        WORKER + "guard.py::make_links",
    ),
    "a file or folder under another name, which takes its place by a rename when it is whole": (
        WORKER + "calibration/remote.py::fetch",
        HOST + "device/agent/agent.py::Agent.do_put",
        HOST + "device/agent/agent.py::Agent.do_receive",
        HOST + "device/agent/files.py::copy_or_link",
        HOST + "device/agent/files.py::write_whole",
        HOST + "device/agent/store.py::ReleaseStore._discard",
        HOST + "device/agent/store.py::ReleaseStore._mend",
        HOST + "device/agent/store.py::ReleaseStore._switch",
        HOST + "device/agent/store.py::ReleaseStore.publish",
        HOST + "device/agent/transfer.py::_Receiver._read_prefix",
        HOST + "device/jobs/bundle/live.py::Watch._tell",
        HOST + "engine/results.py::write_whole",
        HOST + "pipeline/finished/builds.py::_recover",
        HOST + "pipeline/finished/builds.py::replace_build",
        HOST + "pipeline/cache.py::StageCache._publish",
        HOST + "pipeline/cache.py::place",
        HOST + "pipeline/finished/history.py::_keep",
        HOST + "pipeline/intake.py::ArtifactIntake._open_copy",
        HOST + "pipeline/pictures.py::make_data",
        HOST + "pipeline/runner.py::keep_log",
        HOST + "pipeline/sharing/objects.py::Folder._arriving",
        HOST + "pipeline/sharing/objects.py::Folder.send",
        HOST + "pipeline/sharing/objects.py::Folder.write",
        HOST + "pipeline/sharing/objects.py::drain",
        HOST + "pipeline/validation.py::_keep",
        HOST + "project/amend.py::amend",
        HOST + "toolchain/zoo.py::_write",
    ),
    "an empty file, or one whose only word is that it is there": (
        WORKER + "guard.py::answer_mark",
        WORKER + "guard.py::main",
        HOST + "device/agent/files.py::FileLock.acquire",
        HOST + "device/jobs/channels.py::main",
        HOST + "pipeline/cache.py::StageCache.note",
        HOST + "pipeline/sharing/readthrough.py::TeamStore.offer",
    ),
    "no file: a terminal, a pipe, memory": (
        WORKER + "calibration/pool_worker.py::main",
        WORKER + "events.py::open_channel",
        HOST + "cli/app.py::run",
        HOST + "cli/output.py::_put",
        HOST + "device/bundle.py::_library",
        HOST + "device/jobs/bundle/preview.py::Preview.next_jpeg",
    ),
    "a user's changed file, put aside by a rename": (HOST + "device/bundle.py::_clear",),
    "answers of one run on the device, in a folder of that run": (
        HOST + "device/jobs/bundle/run.py::save",
        HOST + "device/jobs/infer.py::run_samples",
    ),
    "a command of this repository, under version control": (
        HOST + "diagnose/compiled.py::main",
        HOST + "threats.py::",
    ),
}


def test_every_write_is_atomic_or_says_why_not(repository: Path) -> None:
    listed = [place for group in REASONS.values() for place in group]
    assert len(listed) == len(set(listed))
    found = places(repository)
    assert sorted(found - set(listed)) == [], (
        "use orchestrator.files.write_atomic or replacing, or add the place and its reason"
    )
    assert sorted(set(listed) - found) == [], "nothing is written there any more: take it out"


def test_the_walk_sees_each_way_of_writing(tmp_path: Path) -> None:
    ways = (
        "p.write_text('a')", "p.write_bytes(b'a')", "open('f', 'w')", "open('f', mode='ab')",
        "p.open('xb')", "p.open('r+b')", "os.open('f', os.O_WRONLY | os.O_CREAT)",
        "os.fdopen(3, 'wb')", "shutil.copyfile(a, b)", "shutil.copy(a, b)", "shutil.move(a, b)",
        "shutil.copy2(a, b)", "shutil.copytree(a, b)", "os.replace(a, b)", "os.rename(a, b)",
        "p.replace(q)", "p.rename(q)", "p.symlink_to(q)", "os.link(a, b)", "os.symlink(a, b)",
        "np.save(p, a)", "np.savez(p, a=a)", "onnx.save(m, p)", "picture.save(p)", "p.touch()",
        "tempfile.mkstemp()", "tempfile.NamedTemporaryFile()", "ZipFile(p, 'w')",
        "archive.extractall(p)", "p.hardlink_to(q)", "stream.truncate()",
    )  # fmt: skip
    file = tmp_path / "x.py"
    for way in ways:
        file.write_text(f"def f():\n    {way}\n")
        assert list(found_in(file, "x.py")) == ["x.py::f"], way
    for way in (
        "open('f')", "p.open('rb')", "text.replace('a', 'b')", "replace(spec, a=1)",
        "registry.save(record)", "memory.save()", "os.open('f', os.O_RDONLY)", "write_atomic(p, x)",
        "zipfile.ZipFile(p)", "f.replace(a, b)",
    ):  # fmt: skip
        file.write_text(f"def f():\n    {way}\n")
        assert list(found_in(file, "x.py")) == [], way

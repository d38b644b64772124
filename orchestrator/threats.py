"""Who may do what: one row for each thing that others write. ``SECURITY.md`` shows this table.

``enforced`` names the code that sees to a row, as ``module:name``; ``tests`` the tests that
attack it, as ``file::function``. A test reads this table and finds every one of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Threat:
    """Something that others write, what it may do here, and what is known to be open."""

    source: str
    reads: str
    writes: str
    runs: str
    enforced: tuple[str, ...]
    tests: tuple[str, ...]
    open: str = "nothing known"


THREATS = (
    Threat(
        source="a job, and with it the compiler's container",
        reads="its inputs, read-only; the image",
        writes="its build folder",
        runs="what the toolchain runs, without a network",
        enforced=(
            "orchestrator.engine.box:create_config",
            "orchestrator.engine.base:Input",
            "orchestrator.engine.results:safe_place",
            "orchestrator.pipeline.intake:ArtifactIntake",
            "orchestrator.pipeline.background:finish",
            "orchestrator.pipeline.cache:place",
            "orchestrator.engine.sandbox:bubblewrap",
        ),
        tests=(
            "tests/security/test_local_box.py::test_a_job_in_the_box_reaches_nothing",
            "tests/unit/engine/test_box.py::test_only_the_build_folder_is_writable_and_only_inputs_are_seen",
            "tests/unit/engine/test_transfer.py::test_a_folder_that_became_a_link_does_not_lead_out",
            "tests/unit/pipeline/test_intake.py::test_links_pipes_and_names_that_lead_out_are_never_read",
            "tests/security/test_names.py::test_a_link_that_a_job_left_is_not_written_through",
            "tests/security/test_records.py::test_a_plan_that_its_job_has_changed_is_not_followed",
        ),
        open="with the local engine, where there is no bubblewrap, a job may do what the user may; "
        "its box bounds neither memory nor time",
    ),
    Threat(
        source="a project cloned from a stranger",
        reads="what its recipes name in its own folder; outside of it only where a recipe says "
        "allow_outside, which is shown",
        writes="artifacts in its folder, the user's cache; it names no store and no engine",
        runs="its factory in the job, its metric in a process of its own: in a box (Docker, or "
        "bubblewrap on Linux), and nowhere else until its user trusts it",
        enforced=(
            "orchestrator.pipeline.inputs:collect",
            "orchestrator.engine.local:lend",
            "orchestrator.project.trust:standing",
            "orchestrator.pipeline.trusting:ProjectTrust.judged",
            "orchestrator.pipeline.trusting:check_box",
            "orchestrator.pipeline.trusting:check_metric",
            "orchestrator.pipeline.metric:load_metric",
            "orchestrator.pipeline.pictures:make_data",
            "orchestrator.pipeline.finished.builds:read_build",
            "orchestrator.engine.sandbox:bubblewrap",
            "orchestrator.inspect.compiler:judge",
        ),
        tests=(
            "tests/security/test_names.py::test_an_onnx_file_overwrites_no_file_of_the_user",
            "tests/security/test_names.py::test_lending_never_writes_to_what_is_there",
            "tests/security/test_project_trust.py::test_the_code_of_a_clone_runs_in_a_box_alone",
            "tests/security/test_project_trust.py::test_a_session_refuses_it_before_anything_runs",
            "tests/security/test_project_trust.py::test_a_clone_reads_nothing_outside",
            "tests/security/test_project_trust.py::test_a_clone_reads_nothing_outside_by_another_way",
            "tests/security/test_project_trust.py::test_a_clone_does_not_say_where_files_go",
            "tests/security/test_project_trust.py::test_no_entry_takes_the_place_of_an_engines_own_word",
            "tests/security/test_project_trust.py::test_a_clones_engine_is_not_used_when_it_is_named_on_the_command_line",
            "tests/security/test_project_trust.py::test_a_clone_stops_no_service_and_takes_no_device_of_the_users",
            "tests/security/test_project_trust.py::test_results_do_not_leave_a_clone_by_its_links",
            "tests/security/test_project_trust.py::test_a_recipe_names_no_code_for_its_pictures_but_the_bundled_one",
            "tests/security/test_project_trust.py::test_pictures_are_made_by_the_code_that_came_with_us",
            "tests/security/test_project_trust.py::test_what_has_the_bundled_code_may_no_more_than_others",
            "tests/security/test_metric.py::test_a_metric_in_the_box_reaches_nothing",
            "tests/security/test_metric.py::test_a_metric_never_runs_in_the_process_of_hef",
            "tests/security/test_new_attacks.py::test_modules_in_the_folder_of_a_stranger_are_not_imported",
            "tests/security/test_new_attacks.py::test_a_hostile_hef_yaml_does_nothing",
            "tests/security/test_new_attacks.py::test_a_hostile_recipe_is_told",
            "tests/security/test_records.py::test_a_record_of_any_kind_is_told",
            "tests/security/test_records.py::test_a_build_that_names_other_files_is_none",
            "tests/security/test_records.py::test_what_a_metric_leaves_in_the_place_of_its_answer_is_told",
            "tests/security/test_records.py::test_a_link_beside_a_recipe_is_not_written_through",
        ),
        open="an archive that was unpacked leaves no sign of where it came from on Linux: such a "
        "folder counts as the user's own (its code still gets a box where there is one)",
    ),
    Threat(
        source="weights and networks from a stranger",
        reads="nothing",
        writes="nothing",
        runs="nothing; TorchScript in the container alone; pickles with trust_pickle, there too",
        enforced=(
            "hefsmith_worker.stages.checkpoint:load",
            "hefsmith_worker.stages.structure:rebuilt",
            "hefsmith_worker.stages.torchscript:check",
            "hefsmith_worker.safetensors_header:read_header",
            "hefsmith_worker.tflite_file:read_network",
            "hefsmith_worker.stages.tensorflow_code:code_in_keras",
            "hefsmith_worker.stages.tensorflow_code:code_in_saved_model",
            "hefsmith_worker.onnx_files:load",
            "orchestrator.inspect.compiler:weight_of",
            "orchestrator.pipeline.session:BuildSession.engine",
        ),
        tests=(
            "tests/security/test_checkpoints.py::test_no_pickle_runs_code",
            "tests/security/test_checkpoints.py::test_a_script_of_the_user_is_not_run_because_weights_name_it",
            "tests/security/test_checkpoints.py::test_torchscript_that_touches_files_is_refused_in_the_box_too",
            "tests/security/test_checkpoints.py::test_torchscript_runs_in_the_box_or_trusted_and_nowhere_else",
            "tests/security/test_tensorflow.py::test_code_in_a_keras_file_is_seen_before_it_is_loaded",
            "tests/security/test_tensorflow.py::test_operators_that_touch_files_are_seen_in_a_saved_model",
            "tests/security/test_tensorflow.py::test_weights_that_lie_in_files_of_the_user_are_refused",
            "tests/security/test_tensorflow.py::test_a_file_of_two_kinds_is_refused",
            "tests/security/test_model_files.py::test_safetensors_with_hostile_headers_are_told",
            "tests/security/test_model_files.py::test_tflite_files_that_lie_are_told",
            "tests/security/test_model_files.py::test_archives_that_lie_are_told",
            "tests/security/test_names.py::test_the_worker_copies_weights_over_nothing",
            "tests/security/test_new_attacks.py::test_a_hostile_network_is_told",
            "tests/security/test_large_networks.py::test_weights_beside_a_network_are_not_read_to_look_at_it",
        ),
        open="a SavedModel is a program of TensorFlow's operators; those known to touch files "
        "are refused, but its own saving may be called: use the Docker engine for it",
    ),
    Threat(
        source="pictures, arrays, data sets, archives, logs and names of classes from a stranger",
        reads="nothing",
        writes="scratch files of the job",
        runs="nothing",
        enforced=(
            "hefsmith_worker.calibration.archives:list_zip",
            "hefsmith_worker.calibration.arrays:list_npz",
            "hefsmith_worker.calibration.datasets:list_coco",
            "hefsmith_worker.calibration.datasets:list_yolo",
            "hefsmith_worker.contract.names:label_fault",
            "orchestrator.report.golden:load_golden",
        ),
        tests=(
            "tests/security/test_names.py::test_archives_with_hostile_members_are_refused",
            "tests/security/test_checkpoints.py::test_a_pickle_in_calibration_data_is_not_loaded",
            "tests/unit/calibration/test_sources.py::test_a_zip_bomb_is_refused_by_what_it_claims",
            "tests/security/test_new_attacks.py::test_hostile_calibration_data_is_told",
            "tests/security/test_model_files.py::test_hostile_logs_are_told",
            "tests/security/test_data_sets.py::test_a_coco_file_with_wild_values_is_told",
            "tests/security/test_data_sets.py::test_yolo_labels_with_wild_values_are_told",
            "tests/security/test_data_sets.py::test_names_of_classes_stay_names_in_every_file_of_a_bundle",
            "tests/security/test_data_sets.py::test_a_name_that_is_several_lines_or_none_is_refused",
        ),
        open="a fault in a decoder (Pillow, libjpeg) is a fault here; jobs have no network",
    ),
    Threat(
        source="a shared store, and a cache that others write",
        reads="nothing",
        writes="the cache, below its own folder",
        runs="nothing",
        enforced=(
            "hefsmith_worker.contract.names:fault",
            "orchestrator.pipeline.cache:read_entry",
            "orchestrator.pipeline.sharing.store:_checked",
            "orchestrator.pipeline.sharing.content:check_content",
            "orchestrator.pipeline.sharing.signing:check_entry",
        ),
        tests=(
            "tests/security/test_names.py::test_every_reader_of_names_refuses_hostile_ones",
            "tests/security/test_store_entries.py::test_a_file_that_is_not_what_it_is_called_is_refused",
            "tests/security/test_store_entries.py::test_nothing_comes_that_none_of_the_signers_has_signed",
            "tests/security/test_store_entries.py::test_what_cannot_be_asked_is_an_error_and_no_yes",
            "tests/unit/pipeline/test_store.py::test_a_hostile_entry_is_refused_in_words",
            "tests/unit/pipeline/test_store.py::test_a_file_that_is_larger_than_told_is_cut_and_refused",
        ),
        open="without signers: in hef.yaml nobody vouches for an entry: who may write to a store "
        "decides what is built from it (told once); an old entry of a signer's counts as a new one",
    ),
    Threat(
        source="a Pi that others use, or that lies",
        reads="what is sent to it: the HEF, the samples, the program",
        writes="outputs of its run, in the build's folder; names are ours",
        runs="nothing here",
        enforced=(
            "orchestrator.device.trust:add_trust",
            "orchestrator.device.replies:Hello",
            "orchestrator.device.agent_client:AgentClient",
        ),
        tests=(
            "tests/unit/device/test_trust.py::test_an_unknown_key_is_refused_with_its_fingerprint_and_the_line_to_trust_it",
            "tests/unit/device/test_hostile.py::test_an_answer_of_another_shape_is_told",
            "tests/unit/device/test_hostile.py::test_a_file_without_end_is_cut",
            "tests/unit/device/test_hostile.py::test_silence_ends_the_wait",
        ),
        open="its outputs are what the verdict is made of: a Pi that lies can fake a proof",
    ),
    Threat(
        source="a Dask cluster that --cluster or hef attach names",
        reads="what a user's own process may: what comes from a scheduler is unpickled by Dask",
        writes="as a user's own process",
        runs="code on this machine and on each worker, whoever may reach its port",
        enforced=(
            "orchestrator.pipeline.trusting:check_settings",
            "orchestrator.pipeline.matrix.cluster:connect",
        ),
        tests=("tests/security/test_project_trust.py::test_no_file_of_a_clone_names_a_cluster",),
        open="Dask's protocol has pickles and no login: name only a scheduler in a network of your "
        "own, or one with certificates (tls://); no file of a project can name one",
    ),
    Threat(
        source="a suite download",
        reads="nothing",
        writes="an image of the engine",
        runs="its programs, in the container",
        enforced=(
            "orchestrator.toolchain.archive:look_at",
            "orchestrator.toolchain.archive:verify",
        ),
        tests=(
            "tests/unit/toolchain/test_archive.py::test_a_flipped_byte_in_the_zip_is_found_before_anything_is_loaded",
            "tests/unit/toolchain/test_archive.py::test_a_zip_that_was_cut_off_is_an_error_at_once",
        ),
        open="the vendor publishes no signature: a download is what its site gave",
    ),
)


def table() -> str:
    """Return the rows as Markdown, as ``SECURITY.md`` has them."""
    found = []
    for one in THREATS:
        enforced = ", ".join(f"`{name}`" for name in one.enforced)
        tests = ", ".join(f"`{name.rpartition('::')[2]}`" for name in one.tests)
        found.append(
            f"### {one.source[0].upper()}{one.source[1:]}\n\n"
            f"- May read: {one.reads}.\n- May write: {one.writes}.\n- May run: {one.runs}.\n"
            f"- Enforced by: {enforced}.\n- Attacked by: {tests}.\n- Open: {one.open}.\n"
        )
    return "\n".join(found)


def page(text: str) -> str:
    """Return the text of ``SECURITY.md`` with the table between its marks."""
    start, end = "<!-- threats: start -->\n", "<!-- threats: end -->"
    return re.sub(f"{start}.*?{end}", lambda _: f"{start}\n{table()}\n{end}", text, flags=re.DOTALL)


if __name__ == "__main__":
    place = Path(__file__).resolve().parents[1] / "SECURITY.md"
    place.write_text(page(place.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")

"""The verdict names the step that broke the model, and only that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hefsmith_worker.contract.findings import Finding

from orchestrator.report import GoldenError, Verdict, VerdictThresholds, decide, load_golden
from orchestrator.report.causes import likely_causes
from tests.unit.report.folders import STEPS, Classifier, boxes_of, write_golden

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def net() -> Classifier:
    return Classifier()


def judge(folder: Path, steps: dict[str, list[Any]], net: Classifier, **more: Any) -> Verdict:
    written = write_golden(folder, steps, labels=net.labels)
    return decide(load_golden(written), **more)


def after(steps: dict[str, list[Any]], step: str, output: Any) -> dict[str, list[Any]]:
    """Return the steps with ``output`` at ``step`` and at every later one."""
    start = STEPS.index(step)
    return {
        name: [output] if STEPS.index(name) >= start else value for name, value in steps.items()
    }


def test_a_sound_build_passes_and_blames_nobody(tmp_path: Path, net: Classifier) -> None:
    verdict = judge(tmp_path, net.good(), net)
    assert verdict.passed
    assert verdict.fault is None
    assert verdict.final == "device"
    assert verdict.steps[0].measures["top1"] > 0.9
    assert [report.step for report in verdict.steps] == list(STEPS)


def test_channels_swapped_at_export_are_the_fault_of_onnx(tmp_path: Path, net: Classifier) -> None:
    swapped = net.logits(net.pictures[..., ::-1])
    verdict = judge(tmp_path, after(net.good(), "onnx", swapped), net)
    assert not verdict.passed
    assert verdict.fault is not None
    assert verdict.fault.step == "onnx"


def test_another_cut_is_the_fault_of_the_parser(tmp_path: Path, net: Classifier) -> None:
    rolled = np.roll(net.logits(), 1, axis=1)
    verdict = judge(tmp_path, after(net.good(), "sdk_native", rolled), net)
    assert verdict.fault is not None
    assert verdict.fault.step == "sdk_native"


def test_double_normalisation_is_the_fault_of_the_script(tmp_path: Path, net: Classifier) -> None:
    once = (net.pictures.astype(np.float64) - net.mean) / net.std
    verdict = judge(tmp_path, after(net.good(), "sdk_fp_optimized", net.logits(once)), net)
    assert verdict.fault is not None
    assert verdict.fault.step == "sdk_fp_optimized"
    assert "ormalis" in verdict.fault.causes[0].text
    assert verdict.fault.causes[0].evidence


def test_noise_calibration_is_the_fault_of_quantisation(tmp_path: Path, net: Classifier) -> None:
    narrow = net.quantised(-0.4, 0.4)
    verdict = judge(tmp_path, after(net.good(), "sdk_quantized", narrow), net)
    assert verdict.fault is not None
    assert verdict.fault.step == "sdk_quantized"
    assert any("calibration" in cause.text for cause in verdict.fault.causes[:3])


def test_a_lowered_level_is_evidence_and_comes_first(tmp_path: Path, net: Classifier) -> None:
    steps = after(net.good(), "sdk_quantized", net.quantised(-0.4, 0.4))
    finding = Finding("D01", "warning", "level 2 was asked, level 0 ran")
    verdict = judge(tmp_path, steps, net, findings=[finding])
    assert verdict.fault is not None
    assert verdict.fault.causes[0].known == "A09"
    assert verdict.fault.causes[0].evidence == "level 2 was asked, level 0 ran"


def test_what_ran_as_it_was_asked_is_no_cause(tmp_path: Path, net: Classifier) -> None:
    steps = after(net.good(), "sdk_quantized", net.quantised(-0.4, 0.4))
    codes = ("ran.level", "ran.lowest-level", "ran.images", "ran.eight-bit")
    ran = [Finding(code, "info", "as asked") for code in codes]
    verdict = judge(tmp_path, steps, net, findings=ran)
    assert verdict.fault is not None
    told = "\n".join(cause.text for cause in verdict.fault.causes)
    for never in ("lowered", "Fewer images", "4 bits", "higher optimisation level"):
        assert never not in told
    assert "hef analyze" in verdict.fault.causes[-1].advice
    # What is seen counts more than what was asked.
    lowered = [*ran, Finding("O01", "warning", "no GPU: level 0 ran")]
    verdict = judge(tmp_path, steps, net, findings=lowered)
    assert verdict.fault is not None
    assert verdict.fault.causes[0].evidence == "no GPU: level 0 ran"


def test_a_device_that_reads_other_bytes_is_at_fault(tmp_path: Path, net: Classifier) -> None:
    constant = np.repeat(net.logits()[:1], net.samples, axis=0)
    verdict = judge(tmp_path, after(net.good(), "device", constant), net)
    assert verdict.fault is not None
    assert verdict.fault.step == "device"
    assert any("same for every sample" in (c.evidence or "") for c in verdict.fault.causes)


def test_a_hef_for_another_chip_is_the_fault_of_the_device(tmp_path: Path, net: Classifier) -> None:
    steps = net.good()
    del steps["device"]
    text = "HEF format is not compatible with device. Device arch: HAILO8L, HEF arch: HAILO8"
    verdict = judge(tmp_path, steps, net, device_symptoms={"wrong-chip": text})
    assert not verdict.passed
    assert verdict.fault is not None
    assert verdict.fault.step == "device"
    assert verdict.fault.causes[0].known == "R01"
    assert verdict.fault.causes[0].evidence == text


def test_permuted_labels_are_not_blamed_on_the_network(tmp_path: Path, net: Classifier) -> None:
    stale = [(label + 2) % net.classes for label in net.labels]
    written = write_golden(tmp_path, net.good(), labels=stale)
    verdict = decide(load_golden(written))
    assert not verdict.passed
    assert verdict.fault is not None
    assert verdict.fault.step == "labels"
    assert verdict.fault.causes[0].known == "A08"


def test_a_label_list_of_another_length_is_found(tmp_path: Path, net: Classifier) -> None:
    verdict = judge(tmp_path, net.good(), net, label_names=["a", "b", "c"])
    assert verdict.fault is not None
    assert verdict.fault.step == "labels"
    assert "3 names" in verdict.fault.reason
    assert "5 classes" in verdict.fault.reason


def test_an_untrained_network_is_blamed_before_any_step(tmp_path: Path, net: Classifier) -> None:
    random = np.random.default_rng(1)
    noise = random.normal(0, 1, (net.samples, net.classes)).astype(np.float32)
    verdict = judge(tmp_path, {step: [noise] for step in STEPS}, net)
    assert verdict.fault is not None
    assert verdict.fault.step == "pytorch"


def test_the_step_that_spent_the_budget_is_blamed_not_the_one_that_tipped_it(
    tmp_path: Path, net: Classifier
) -> None:
    exact = net.logits()
    steps = net.good()
    random = np.random.default_rng(3)
    damaged = exact + random.normal(0, 0.05 * np.ptp(exact), exact.shape).astype(np.float32)
    slightly = damaged + random.normal(0, 0.012 * np.ptp(exact), exact.shape).astype(np.float32)
    steps["sdk_quantized"], steps["device"] = [damaged], [slightly]
    written = write_golden(tmp_path, steps, labels=net.labels)
    golden = load_golden(written)
    found = {r.step: r.measures["cosine"] for r in decide(golden).steps}
    between = (found["sdk_quantized"] + found["device"]) / 2
    verdict = decide(golden, VerdictThresholds(cosine=between))
    assert verdict.fault is not None
    assert verdict.fault.step == "sdk_quantized"


def test_one_wrong_sample_is_not_finer_than_the_threshold(tmp_path: Path, net: Classifier) -> None:
    steps = net.good()
    one = steps["device"][0].copy()
    right = int(np.argmax(one[0]))
    one[0, (right + 1) % net.classes] = one[0].max() + 0.01
    steps["device"] = [one]
    written = write_golden(tmp_path, steps, labels=net.labels)
    verdict = decide(load_golden(written), VerdictThresholds(top1_drop=0.5))
    assert verdict.passed
    two = one.copy()
    two[1, (int(np.argmax(one[1])) + 1) % net.classes] = one[1].max() + 0.01
    steps["device"] = [two]
    written = write_golden(tmp_path, steps, labels=net.labels)
    assert not decide(load_golden(written), VerdictThresholds(top1_drop=0.5)).passed


def test_a_drop_is_not_rounded_up_to_whole_samples(tmp_path: Path) -> None:
    count = 68
    good = np.eye(4, dtype=np.float32)[np.arange(count) % 4] * 5
    worse = good.copy()
    worse[:2] = np.roll(worse[:2], 1, axis=1)
    steps: dict[str, list[Any]] = {**{step: [good] for step in STEPS}, "device": [worse]}
    golden = load_golden(write_golden(tmp_path, steps, labels=[i % 4 for i in range(count)]))
    # Two of 68 are 2.9 points: more than one sample, and more than 1.5 points.
    demands = {"agreement": 0.9, "cosine": 0.9, "top1_drop": 1.5}
    assert not decide(golden, VerdictThresholds.for_task("classification", demands)).passed
    demands["top1_drop"] = 3.0
    assert decide(golden, VerdictThresholds.for_task("classification", demands)).passed


def test_values_that_are_no_numbers_fail(tmp_path: Path, net: Classifier) -> None:
    bad = net.logits()
    bad[3, 1] = np.nan
    verdict = judge(tmp_path, after(net.good(), "sdk_quantized", bad), net)
    assert verdict.fault is not None
    assert verdict.fault.step == "sdk_quantized"
    assert "NaN" in verdict.fault.reason


def test_unlabelled_samples_are_judged_by_agreement_and_said_so(
    tmp_path: Path, net: Classifier
) -> None:
    written = write_golden(tmp_path, net.good())
    verdict = decide(load_golden(written))
    assert verdict.passed
    assert not verdict.labelled
    assert any("no labels" in note for note in verdict.notes)
    swapped = after(net.good(), "device", net.logits(net.pictures[..., ::-1]))
    verdict = decide(load_golden(write_golden(tmp_path, swapped)))
    assert verdict.fault is not None
    assert verdict.fault.step == "device"


def test_right_classes_with_broken_boxes_fail(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    good = boxes_of(random, 40)
    broken = [rows.copy() for rows in good]
    for rows in broken:
        rows[:, 2:4] = rows[:, :2] + 0.05  # constant-size boxes, as user_pains A09 describes
    truth = [[[*row[:4], row[5]] for row in rows.tolist()] for rows in good]
    steps = {step: [good] for step in STEPS}
    steps["sdk_quantized"], steps["device"] = [broken], [broken]
    written = write_golden(tmp_path, steps, task="detection", boxes=truth)
    verdict = decide(load_golden(written))
    assert not verdict.passed
    assert verdict.fault is not None
    assert verdict.fault.step == "sdk_quantized"
    assert any("only" in (cause.evidence or "") for cause in verdict.fault.causes)
    last = verdict.steps[-1].measures
    assert last["class_recall"] == 1.0
    assert last["map50"] < 0.2
    assert verdict.steps[0].measures["map50"] == pytest.approx(1.0)


def test_boxes_that_only_lose_confidence_pass(tmp_path: Path) -> None:
    good = boxes_of(np.random.default_rng(6), 40)
    weaker = [rows * np.array([1, 1, 1, 1, 0.93, 1], np.float32) for rows in good]
    steps = {step: [good] for step in STEPS}
    steps["device"] = [weaker]
    written = write_golden(tmp_path, steps, task="detection")
    assert decide(load_golden(written)).passed


def test_lost_boxes_fail(tmp_path: Path) -> None:
    good = boxes_of(np.random.default_rng(6), 40)
    nothing = [rows[:0] for rows in good]
    steps = {step: [good] for step in STEPS} | {"device": [nothing]}
    written = write_golden(tmp_path, steps, task="detection")
    verdict = decide(load_golden(written))
    assert verdict.fault is not None
    assert verdict.fault.step == "device"


def test_a_detector_that_never_finds_anything_proves_nothing(tmp_path: Path) -> None:
    empty = [np.zeros((0, 6), np.float32)] * 40
    written = write_golden(tmp_path, {step: [empty] for step in STEPS}, task="detection")
    verdict = decide(load_golden(written))
    assert not verdict.passed
    assert verdict.outcome == "unproven"
    assert verdict.unproven is not None
    assert "finds no box in 40 samples" in verdict.unproven
    assert verdict.headline.startswith("unproven on the device: ")
    assert decide(load_golden(written), VerdictThresholds(f1=0.0)).passed, (
        "unless nothing is demanded"
    )


def test_segmentation_is_judged_by_mask_overlap(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    logits = random.normal(0, 1, (12, 16, 16, 4)).astype(np.float32)
    shifted = np.roll(logits, 5, axis=2)
    steps = {step: [logits] for step in STEPS} | {"device": [shifted]}
    written = write_golden(tmp_path, steps, task="segmentation")
    verdict = decide(load_golden(written))
    assert verdict.fault is not None
    assert verdict.fault.step == "device"
    assert verdict.steps[-1].measures["mean_iou"] < 0.5


def test_a_metric_of_the_users_own_decides(tmp_path: Path, net: Classifier) -> None:
    def margin(reference: Any, outputs: Any, samples: Any) -> float:
        return float(np.mean(np.sort(outputs[0], axis=1)[:, -1]))

    steps = after(net.good(), "sdk_quantized", net.quantised(-0.4, 0.4))
    demands = VerdictThresholds(metric_drop=0.1)
    verdict = judge(tmp_path, steps, net, thresholds=demands, metric=margin)
    assert verdict.fault is not None
    assert verdict.fault.step == "sdk_quantized"
    assert verdict.fault.measure == "metric_drop"


def test_an_unstable_device_fails_even_when_it_agrees(tmp_path: Path, net: Classifier) -> None:
    text = "5 runs of one sample gave 5 different outputs"
    verdict = judge(tmp_path, net.good(), net, device_symptoms={"unstable": text})
    assert not verdict.passed
    assert verdict.fault is not None
    assert verdict.fault.causes[0].known == "A06"


def test_the_verdict_is_json(tmp_path: Path, net: Classifier) -> None:
    steps = after(net.good(), "device", net.logits(net.pictures[..., ::-1]))
    verdict = judge(tmp_path, steps, net, emulated=True)
    document = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert document["fault"]["step"] == "device"
    assert "(emulated)" in document["headline"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "golden.json").unlink(),
        lambda folder: (folder / "golden.json").write_text("{"),
        lambda folder: (folder / "golden.json").write_text('{"schema": 2}'),
        lambda folder: (folder / "golden.json").write_text('{"schema": 1}'),
        lambda folder: (folder / "steps/onnx/0.npy").unlink(),
        lambda folder: (folder / "steps/onnx/0.npy").write_bytes(b"\x93NUMPY"),
        lambda folder: np.save(folder / "steps/onnx/0.npy", np.zeros((3, 5), np.float32)),
        lambda folder: np.save(folder / "steps/onnx/0.npy", np.float32(1)),
    ],
)
def test_a_damaged_folder_is_an_error_with_a_way_out(
    tmp_path: Path, net: Classifier, damage: Any
) -> None:
    written = write_golden(tmp_path, net.good(), labels=net.labels)
    damage(written)
    with pytest.raises(GoldenError) as caught:
        decide(load_golden(written))
    assert caught.value.hint


def test_a_folder_may_not_name_files_outside_itself(tmp_path: Path, net: Classifier) -> None:
    written = write_golden(tmp_path / "golden", net.good(), labels=net.labels)
    path = written / "golden.json"
    path.write_text(path.read_text().replace("steps/onnx/0.npy", "../secret.npy"))
    with pytest.raises(GoldenError):
        decide(load_golden(written))


def test_findings_that_point_to_causes_exist() -> None:
    """A renamed finding would silently stop being evidence."""
    from pathlib import Path

    import hefsmith_worker.calibration as calibration

    from orchestrator.diagnose.catalogue import load_catalogue
    from orchestrator.pipeline import validation
    from orchestrator.report.causes import _CAUSES

    known = set(load_catalogue())
    sources = Path(calibration.__file__).parent.glob("*.py")
    linter = "".join(path.read_text(encoding="utf-8") for path in sources)
    # ... and where the two meet.
    linter += Path(validation.__file__).read_text(encoding="utf-8")
    for causes in _CAUSES.values():
        for cause in causes:
            if cause.cause.known is not None:
                assert cause.cause.known in known
            for code in cause.findings:
                assert code in known or f'"{code}"' in linter, code


def test_renamed_classes_may_be_exchanged_colours_where_calibration_saw_that() -> None:
    seen = Finding("calib.channel-order", "warning", "the float model does better on BGR")
    plain = [one.known for one in likely_causes("labels", {"permuted-labels": "renamed"})]
    assert plain == ["A08", None]
    told = likely_causes("labels", {"permuted-labels": "renamed"}, [seen])
    assert [one.known for one in told] == ["A08", "A04", None]
    assert told[1].evidence == "the float model does better on BGR"

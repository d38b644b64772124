"""Whole logs: healthy ones raise no alarm, cut ones are never called ok, and what ran is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.diagnose.downgrades import downgrades
from orchestrator.diagnose.finding import Asked, Diagnosis, Progress, Ran
from orchestrator.diagnose.log_reader import VendorLog, read_log
from tests.unit.diagnose.variants import CHANGES

HERE = Path(__file__).resolve().parent
HEALTHY = HERE / "healthy"
LOGS = sorted(path.stem for path in HEALTHY.glob("*.log"))

#: What a log rightly shows although it ended well.
TRUE_FINDINGS = {"hailomz_cpu": {"O01", "O02", "C05"}}
#: These tell of no run that ends.
NO_END = {"apt", "dmesg", "noise"}
#: Several commands one after another: the end of one is an end.
SESSIONS = {"hailo_cli", "hailortcli_benchmark"}


def lines_of(name: str) -> list[str]:
    return (HEALTHY / f"{name}.log").read_text("utf-8").split("\n")


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("dress", ["as recorded", "docker logs -t", "coloured", "clock", "cat -n"])
def test_a_healthy_log_raises_no_alarm(name: str, dress: str) -> None:
    log = read_log(CHANGES[dress]("\n".join(lines_of(name))).split("\n"))
    alarms = {one.id for one in log.findings() if one.severity != "info"}
    assert alarms == TRUE_FINDINGS.get(name, set())
    assert log.ran().outcome == ("unknown" if name in NO_END else "ok")


@pytest.mark.parametrize("name", [name for name in LOGS if name not in SESSIONS])
def test_a_log_that_stops_early_is_never_ok(name: str) -> None:
    lines = lines_of(name)
    log = VendorLog()
    outcomes = []
    for line in lines:
        log.feed(line)
        outcomes.append(log.ran().outcome)
    assert "failed" not in outcomes
    if name in NO_END:
        return
    first = outcomes.index("ok")
    rest = [line for line in lines[first + 1 :] if line.strip()]
    # Only words of the same good end may follow.
    assert len(rest) <= 4, (first, lines[first])
    assert set(outcomes[first:]) == {"ok"}


def test_a_session_is_open_again_when_the_next_command_begins() -> None:
    log = VendorLog()
    seen = []
    for line in lines_of("hailo_cli"):
        log.feed(line)
        if not seen or seen[-1] != log.ran().outcome:
            seen.append(log.ran().outcome)
    assert seen == ["unknown", "ok"] * 3


def test_what_ran_is_read_from_a_compile_on_a_cpu() -> None:
    ran = read_log(lines_of("hailomz_cpu")).ran()
    assert (ran.level_asked, ran.level_run) == (None, 0)
    assert (ran.images_given, ran.images_used) == (None, 64)
    assert ran.gpu is False
    assert ran.contexts == 2
    assert ran.arch == "hailo8"
    assert ran.hef == "yolox_tiny.hef"
    assert "Bias Correction" in ran.skipped
    assert "Adaround" in ran.skipped


def test_what_ran_is_read_from_a_compile_on_a_gpu() -> None:
    ran = read_log(lines_of("script_gpu")).ran()
    assert (ran.level_asked, ran.level_run) == (2, 2)
    assert (ran.images_used, ran.images_finetune) == (1024, 1024)
    assert ran.gpu is True
    assert ran.contexts == 7
    assert ran.snr == {"EfficientNetB0_112_112/output_layer1": 21.46}


def test_versions_are_read_from_banners() -> None:
    assert read_log(lines_of("hailo_cli")).ran().versions == {"dfc": "3.33.0", "hailort": "4.23.0"}


#: The lines of hailo.md 3.4 and what each tells.
MARKERS: list[tuple[str, str, object]] = [
    ("[info] Translation started on ONNX model net", "stage", "parse"),
    ("[info] Simplified ONNX model for a parsing retry attempt", "stage", "parse"),
    ("[info] Starting Model Optimization", "stage", "optimize"),
    ("[info] Using default optimization level of 2", "level_asked", 2),
    (("[warning] Reducing optimization level to 0 (the accuracy won't be optimized and compression "
      "won't be used) because there's no available GPU"), "level_run", 0),
    (("[warning] Reducing optimization level to 0 (...) because there's less data than the "
      "recommended amount (1024), and there's no available GPU"), "gpu", False),
    ("[info] No GPU chosen and no suitable GPU found, falling back to CPU.", "gpu", False),
    ("[info] No GPU chosen, Selected GPU 1", "gpu", True),
    ("[info] Using dataset with 64 entries for calibration", "images_used", 64),
    ("[info] Using dataset with 1,024 entries for finetune", "images_finetune", 1024),
    ("Calibration: 100%|####| 512/512 [00:18<00:00,  3.54entries/s]", "images_used", 512),
    ("[info] Bias Correction skipped", "skipped", ("Bias Correction",)),
    ("[info] Adaround skipped", "skipped", ("Adaround",)),
    ("[info] net/output_layer1 SNR: 9.179 dB", "snr", {"net/output_layer1": 9.179}),
    ("[info] \tnet/output_layer2 SNR:\t0,5 dB", "snr", {"net/output_layer2": 0.5}),
    ("[info] Output layers signal-to-noise ratio (SNR): w/output_layer1 SNR: 44.04 dB", "snr",
     {"w/output_layer1": 44.04}),
    ("[info] Starting Hailo allocation and compilation flow", "stage", "compile"),
    ("[info] Trying to compile the network in a single context", "contexts", 1),
    ("[info] Using Single-context flow", "contexts", 1),
    ("[info] Found valid partition to 5 contexts, Performance improved by 12,3%", "contexts", 5),
    ("[info] Applying selected partition to 7 contexts...", "contexts", 7),
    ("[info] Compiling kernels of net_context_3...", "contexts", 4),
    ("Network group name: yolov8n, Multi Context - Number of contexts: 3", "contexts", 3),
    ("[info] Building HEF...", "stage", "compile"),
    ("[info] Successful Compilation (compilation time: 5s)", "outcome", "ok"),
    ("<Hailo Model Zoo INFO> HEF file written to yolov8s.hef", "hef", "yolov8s.hef"),
    ("[error] Mapping Failed (allocation time: 13s)", "outcome", "failed"),
    ("[error] Failed to produce compiled graph", "outcome", "failed"),
    ("[error] BackendAllocatorException: Compilation failed: x", "outcome", "failed"),
    ("[info] Assigning 4bit weights to layer net/conv5", "four_bit_layers", ("net/conv5",)),
    ("[warning] Output net/conv63: 16 bit precision is not possible, falling back to 8 bit",
     "demoted_layers", ("net/conv63",)),
    ("HailoRT-CLI version 4.23.0", "versions", {"hailort": "4.23.0"}),
    ("Hailo Model Zoo v2.17.0", "versions", {"model_zoo": "2.17.0"}),
    ("Firmware Version: 4.19.0 (release,app)", "versions", {"firmware": "4.19.0"}),
    ("Device Architecture: HAILO8L", "arch", "hailo8l"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "field", "value"), MARKERS)
def test_each_marker_tells_its_fact(line: str, field: str, value: object) -> None:
    for dress in ("as recorded", "coloured", "docker logs -t", "in small letters"):
        ran = read_log([CHANGES[dress](line)]).ran()
        got = getattr(ran, field)
        if dress == "in small letters" and isinstance(got, tuple):
            assert tuple(one.lower() for one in got) == tuple(one.lower() for one in value)  # type: ignore[attr-defined]
        else:
            assert got == value, dress


def test_lowering_compression_is_not_lowering_the_level() -> None:
    log = read_log(
        [
            "[info] Using default optimization level of 1",
            (
                "[warning] Reducing compression level to 0 because requested optimization level "
                "equal or less than 1"
            ),
        ]
    )
    assert log.ran().level_run == 1
    assert log.findings() == []


def test_the_level_follows_from_the_algorithms_when_nobody_says_it() -> None:
    base = ["[info] Starting Model Optimization"]
    tuned = [
        *base,
        "[info] Model Optimization Algorithm Quantization-Aware Fine-Tuning is done (x)",
    ]
    corrected = [*base, "[info] Bias Correction is done (completion time is 0)"]
    nothing = [*base, "[info] Bias Correction skipped", "[info] Adaround skipped"]
    end = "[info] Model Optimization is done"
    assert read_log([*tuned, end]).ran().level_run == 2
    assert read_log([*corrected, end]).ran().level_run == 1
    assert read_log([*nothing, end]).ran().level_run == 0
    assert read_log(tuned).ran().level_run is None


def test_progress_has_the_time_left() -> None:
    log = VendorLog()
    log.feed("[info] Starting Model Optimization")
    news = log.feed("Calibration:  45%|####      | 29/64 [00:08<00:10,  3.54entries/s]")
    assert news == [Progress("optimize", "Calibration", 29, 64, "entries", 10.0)]


def test_bars_redrawn_with_carriage_returns_are_one_line_of_the_log() -> None:
    log = VendorLog()
    drawn = "\r".join(
        f"Calibration: {n}%|##| {n}/100 [00:0{n // 20}<00:05, 9.0entries/s]"
        for n in range(0, 101, 20)
    )
    news = log.feed(drawn)
    assert [one.done for one in news if isinstance(one, Progress)] == [0, 20, 40, 60, 80, 100]
    finding = [one for one in log.feed("KeyError: 'USER'") if isinstance(one, Diagnosis)]
    assert finding[0].line == 2


def test_epochs_count_over_all_of_them() -> None:
    log = VendorLog()
    log.feed("[info] Starting Quantization-Aware Fine-Tuning")
    log.feed("Epoch 2/4")
    (news,) = log.feed(" 64/128 [======>.......] - ETA: 12s - loss: 0.1")
    assert isinstance(news, Progress)
    assert (news.done, news.total) == (192, 512)
    assert news.eta_s is not None
    assert news.eta_s >= 12


def test_images_given_and_used_are_compared() -> None:
    used = "[info] Using dataset with 64 entries for calibration"
    assert [one.id for one in read_log([used], asked=Asked(images=64)).findings()] == []
    (finding,) = read_log([used], asked=Asked(images=1339)).findings()
    assert finding.id == "C05"
    assert "64 of 1339" in finding.cause
    assert finding.recipe == "calibration:\n  count: 1339"
    many = "[info] Using dataset with 1024 entries for calibration"
    assert read_log([many]).findings() == []
    assert [one.id for one in read_log([many], asked=Asked(images=1339)).findings()] == ["C05"]


@pytest.mark.parametrize(
    "other",
    [
        "[info] Using dataset with 1024 entries for finetune",
        "SDK_FP_OPTIMIZED is already wrong, 20 % in place of 93 %",
        "hailo_sdk_client.exceptions.AllocatorException: no successful assignment for: conv1",
    ],
)
def test_the_default_of_64_is_no_reason_where_another_line_speaks_against_it(other: str) -> None:
    used = "[info] Using dataset with 64 entries for calibration"
    assert "C05" not in {one.id for one in read_log([used, other]).findings()}
    # Of more that were given most were left out all the same.
    given = "Loaded 1339 calibration images from /data"
    assert "C05" in {one.id for one in read_log([given, used, other]).findings()}
    asked = read_log([used, other], asked=Asked(images=1339))
    assert "C05" in {one.id for one in asked.findings()}


@pytest.mark.parametrize(
    "line",
    [
        "Loaded 1339 calibration images from /data",
        "Found 1339 images in /data/calib for calibration",
        "calib_set shape: (1339, 640, 640, 3)",
        "Calibration dataset: 1339 images",
        "Number of calibration images: 1339",
        "Using all 1339 calibration samples",
    ],
)
def test_the_number_given_is_read_where_a_script_says_it(line: str) -> None:
    log = read_log([line, "[info] Using dataset with 64 entries for calibration"])
    assert log.ran().images_given == 1339
    assert [one.id for one in log.findings()] == ["C05"]


def test_dividing_twice_is_computed_from_two_harmless_lines() -> None:
    log = read_log(
        [
            "normalization1 = normalization([0.0, 0.0, 0.0], [255.0, 255.0, 255.0])",
            (
                "[info] The calibration set seems to not be normalized, because the values range "
                "is [(0.0, 1.0), (0.0, 1.0), (0.0, 1.0)]."
            ),
        ]
    )
    assert {one.id for one in log.findings()} == {"A03", "C03"}


def test_a_script_given_to_the_compiler_only_is_noticed() -> None:
    log = read_log(
        ["$ hailo optimize net.har --hw-arch hailo8l --calib-set-path c.npy",
         "$ hailo compiler net_optimized.har --hw-arch hailo8l --model-script nms.alls"]
    )  # fmt: skip
    assert [one.id for one in log.findings()] == ["O15"]


def test_a_hef_that_dies_with_its_container_is_noticed() -> None:
    lines = ["(hailo_virtualenv) hailo@x:/local/workspace$ hailomz compile yolov8s",
             "<Hailo Model Zoo INFO> HEF file written to yolov8s.hef"]  # fmt: skip
    assert [one.id for one in read_log(lines).findings()] == ["H01"]
    lines[0] = lines[0].replace("/local/workspace$", "/local/shared_with_docker$")
    assert read_log(lines).findings() == []


def test_an_output_full_of_noise_and_wide_zero_points_are_noticed() -> None:
    noisy = read_log(["[info] \tnet/output_layer1 SNR:\t0.0004649 dB"]).findings()
    assert [one.id for one in noisy] == ["A10"]
    wide = read_log(["Output net/conv63 UINT8 scale 0.1 qp_zp 18432"]).findings()
    assert [one.id for one in wide] == ["A05"]


def test_a_failure_that_was_retried_with_success_is_no_alarm() -> None:
    log = read_log(
        [
            "UnsupportedOperationError in op /a/TopK: TopK operation is unsupported",
            "[info] According to recommendations, retrying parsing with end node names: ['/a'].",
            "[info] Translation started on ONNX model net",
            "[info] Starting Hailo allocation and compilation flow",
            "[info] Successful Compilation (compilation time: 5s)",
        ]
    )
    told = {one.id: (one.severity, one.recovered) for one in log.findings()}
    assert told == {"P10": ("info", True), "P20": ("info", False)}
    assert log.ran().outcome == "ok"


def test_pip_that_ends_well_does_not_heal_what_it_broke() -> None:
    log = read_log(
        [
            (
                "hailo-dataflow-compiler 3.30.0 requires numpy==1.23.3, but you have numpy 2.1.3 "
                "which is incompatible."
            ),
            "Successfully installed numpy-2.1.3",
        ]
    )
    (finding,) = log.findings()
    assert (finding.id, finding.severity) == ("S30", "fatal")


def test_a_success_does_not_hide_what_came_after_it() -> None:
    log = read_log(
        [
            "[info] Successful Compilation (compilation time: 5s)",
            "OSError: [Errno 28] No space left on device",
        ]
    )
    assert log.ran().outcome == "failed"
    assert [one.id for one in log.findings()] == ["S18"]


def test_an_umbrella_is_shown_only_where_nothing_is_specific() -> None:
    umbrella = "[error] BackendAllocatorException: Compilation failed"
    assert [one.id for one in read_log([umbrella]).findings()] == ["K02"]
    specific = [umbrella, "No successful assignments: concat24 errors:", "    Agent infeasible"]
    assert [one.id for one in read_log(specific).findings()] == ["K01"]


def test_nodes_of_several_lines_and_the_proposal_meet_in_the_remedy() -> None:
    log = read_log(
        [
            "hailo_sdk_client.model_translator.exceptions.ParsingWithRecommendationException: x",
            " UnsupportedOperationError in op /m/TopK: TopK operation is unsupported",
            " UnsupportedOperationError in op /m/Gather: Gather operation is unsupported",
            "Please try to parse the model again, using these end node names: /m/a/Conv, /m/b/Conv",
        ]
    )
    (finding,) = log.findings()
    assert "/m/TopK, /m/Gather" in finding.cause
    assert "end_nodes: [/m/a/Conv, /m/b/Conv]" in str(finding.recipe)
    assert finding.line == 2


def test_a_failure_that_nobody_knows_is_still_told() -> None:
    log = read_log(["[info] Starting Model Optimization", "RuntimeError: the moon is full"])
    (finding,) = log.findings()
    assert finding.id == "U01"
    assert "the moon is full" in finding.cause
    assert finding.line == 2


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("Process finished with exit code 0", "unknown"),
        ("exited with code 1", "failed"),
        ("Command returned non-zero exit status 2.", "failed"),
        ("rc=124", "failed"),
        ("Segmentation fault (core dumped)", "failed"),
        ("KeyboardInterrupt", "failed"),
        ("FutureWarning: this will raise an Error in future", "unknown"),
        ("0 errors, 0 warnings", "unknown"),
        ("Error rate: 0.01", "unknown"),
    ],
)
def test_words_of_an_end(line: str, outcome: str) -> None:
    assert read_log(["[info] Starting Model Optimization", line]).ran().outcome == outcome


def test_nothing_asked_means_no_downgrade() -> None:
    assert downgrades(Asked(), Ran(level_run=0, images_used=64, gpu=False)) == []


def test_every_downgrade_is_told_with_both_numbers() -> None:
    asked = Asked(
        level=2, images=1339, gpu=True, outputs_16bit=True, algorithms=("bias_correction",)
    )
    ran = Ran(level_run=0, images_used=64, gpu=False, four_bit_layers=("n/conv5",),
              demoted_layers=("n/conv9",), skipped=("Bias Correction",))  # fmt: skip
    told = {one.id: one for one in downgrades(asked, ran)}
    assert set(told) == {"D01", "D02", "D03", "D04", "D05", "D06"}
    assert told["D01"].text == "level 2 asked, level 0 run"
    assert told["D02"].text == "1339 images given, 64 used"
    assert "n/conv5" in told["D04"].cause


def test_what_was_asked_and_run_alike_is_no_downgrade() -> None:
    ran = Ran(level_asked=2, level_run=2, images_given=100, images_used=100, gpu=True)
    assert downgrades(Asked(level=2, images=100, gpu=True, compression=2), ran) == []


@pytest.mark.parametrize("case", json.loads((HERE / "outcomes.json").read_text("utf-8")))
def test_the_end_of_a_log_decides(case: dict[str, object]) -> None:
    assert read_log(list(case["log"])).ran().outcome == case["outcome"]  # type: ignore[call-overload]


def test_images_that_cannot_be_used_are_none_that_were() -> None:
    told = read_log(["[   2.0s] warning: 4 of 68 images cannot be used [calib.unreadable]"])
    assert (told.ran().images_used, told.ran().images_given) == (None, None)


@pytest.mark.parametrize(
    "before",
    ["", "haos  | ", "2026-11-29T10:11:12.1Z stderr F ", "> ", "> > ", "[10:11:12] "],
)
@pytest.mark.parametrize(
    "stamp",
    ["Dec 13 09:11:02 pi5 kernel: ", "2025-12-13T09:11:02+0100 pi5 kernel: ", "[ 2.256442] "],
)
def test_lines_of_the_kernel_stay_apart_behind_any_prefix(before: str, stamp: str) -> None:
    lines = [
        "hailo: Init module. driver version 4.18.0",
        "hailo 0000:01:00.0: Probing on: 1e60:2864...",
        "hailo 0000:01:00.0: Firmware file not found (/lib/firmware/hailo/hailo8_fw.bin)",
    ]
    found = read_log(f"{before}{stamp}{line}" for line in lines).findings()
    assert [one.id for one in found] == ["R18"]


def test_a_compilers_place_and_its_message_are_one_though_the_line_was_wrapped_between() -> None:
    place = "/var/lib/dkms/hailo_pci/4.13.0/build/linux/pcie/src/pcie.c:841:41:"
    message = "error: too many arguments to function class_create"
    assert [one.id for one in read_log([place, message]).findings()] == ["R81"]
    # Without a place before it the line begins a message of its own.
    apart = read_log(["the driver hailo_pci/linux/pcie/src/pcie.c:841 is built now:", message])
    assert "R81" not in {one.id for one in apart.findings()}


def test_words_of_a_list_prove_a_cause_only_within_one_line() -> None:
    def told(*lines: str) -> dict[str, str]:
        return {one.id: one.severity for one in read_log(lines).findings()}

    assert told("hailo 0001:01:00.0: D3cold to D0 failed")["X281"] == "fatal"
    # Two messages, one below the other.
    apart = told("the hailo card is idle now", "device 3 goes: D3cold to D0 failed here")
    assert apart.get("X281") == "possible"
    # One line that a terminal cut at its width.
    cut = "and the driver of the card named hailo says of it, at this very moment,"
    assert told(cut, "that it is D3cold to D0 failed")["X281"] == "fatal"


def test_a_sentence_of_a_post_about_bits_demotes_nothing() -> None:
    told = (
        "In short, 16-bit is not rejected as such: on a plain layer it compiles. Instead, with more"
        " of the encoder at 16 bits three walls come, and I cannot say yet whether it brings back"
        " what the 8-bit network loses in the search over our own documents."
    )
    assert read_log([told]).ran().demoted_layers == ()
    assert read_log(["no longer prints `Reducing optimization level to 1`"]).ran().level_run is None

"""Pictures in B, G, R that a network of R, G, B is given are found in a post's code."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log

RGB = "from ultralytics import YOLO"
READ = "img = cv2.imread(path)"
FRAME = "ret, frame = cap.read()"
TURN = "img = cv2.cvtColor(img, cv2.COLOR_BGR2RGB)"
INFER = "out = pipe.infer({name: img[None]})"
WORSE = "The accuracy of my HEF is much worse than that of the ONNX file after conversion."
LOAD = ["def load(path):", "    im = cv2.imread(path)", "    return cv2.resize(im, (640, 640))"]
PREPARE = ["def prepare(x):", "    return x[..., ::-1]"]
SAVE = ["calib.append(np.array(Image.open(p)))", "np.save('calib.npy', np.stack(calib))"]


def told(*lines: str) -> dict[str, str]:
    found = read_log([*lines]).findings()
    return {one.id: one.severity for one in found if one.id in {"A1184", "A1185"}}


@pytest.mark.parametrize(
    "lines",
    [
        [RGB, READ, INFER],
        [RGB, FRAME, "img = cv2.resize(frame, (640, 640))", INFER],
        [RGB, *LOAD, "img = load('a.jpg')", INFER],
        [RGB, READ, "binding.input().set_buffer(np.ascontiguousarray(img))"],
        [RGB, FRAME, "rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)", "pipe.infer({name: frame})"],
        ["It was trained on RGB pictures.", READ, INFER],
        [*SAVE, READ, INFER],
    ],
)
def test_the_program_gives_the_other_order(lines: list[str]) -> None:
    assert told(*lines) == {"A1184": "silent"}
    # Turned on the way it is right.
    turned = [
        line.replace("img[None]", "img[..., ::-1][None]")
        .replace("ray(img)", "ray(img[:, :, ::-1])")
        .replace(": frame}", ": rgb}")
        for line in lines
    ]
    assert told(*turned) == {}


@pytest.mark.parametrize(
    "lines",
    [
        [RGB, READ, TURN, INFER],
        [RGB, READ, "cv2.cvtColor(img, cv2.COLOR_BGR2RGB, img)", INFER],
        [RGB, *PREPARE, READ, "img = prepare(img)", INFER],
        [RGB, READ, "img = np.load('a.npy')", INFER],
        [RGB, *LOAD, "img = np.load('a.npy')", INFER],
        [RGB, READ, "img = cv2.dnn.blobFromImage(img, swapRB=True)", INFER],
        [RGB, "img = cv2.imread(path, cv2.IMREAD_GRAYSCALE)", INFER],
        # The chip turns them, or the network learned them so, or both were tried.
        [RGB, READ, INFER, "conv = input_conversion(input_layer1, bgr_to_rgb)"],
        ["The network was trained on BGR.", RGB, READ, INFER],
        [RGB, READ, INFER, "I tried it with RGB, too."],
        # Which order the network wants is not told, and nobody complains.
        [READ, INFER],
        ["It is not trained on RGB.", READ, INFER],
        # What an unknown function does to them is not told.
        [RGB, READ, "img = my_prepare(img)", INFER],
        # It goes to another program.
        [RGB, READ, "session.run(None, {name: img})"],
        [RGB, READ, "# " + INFER],
    ],
)
def test_another_order_is_not_told_where_it_is_not_shown(lines: list[str]) -> None:
    assert told(*lines) == {}


@pytest.mark.parametrize("lines", [[READ, INFER], [RGB, READ, "img = my_prepare(img)", INFER]])
def test_where_somebody_complains_it_is_possible(lines: list[str]) -> None:
    assert told(WORSE, "", *lines) == {"A1184": "possible"}
    assert told(WORSE, "", READ, TURN, INFER) == {}
    # Where it is shown, what else might be is not told.
    assert [one.id for one in read_log([WORSE, "", RGB, READ, INFER]).findings()] == ["A1184"]


def test_a_calibration_set_in_the_other_order_is_found() -> None:
    calibration = ["calib.append(cv2.imread(p))", "np.save('calib.npy', np.stack(calib))"]
    given = [FRAME, "img = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)", INFER]
    assert told(*calibration, *given) == {"A1185": "silent"}
    assert told(*calibration, FRAME, "img = frame", INFER) == {}
    assert told(calibration[0].replace("(p)", "(p)[..., ::-1]"), calibration[1], *given) == {}

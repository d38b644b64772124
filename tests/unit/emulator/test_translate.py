"""Translation: the float graph is ONNX's, the layers are named as the vendor names them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from .translation import native, nchw, reference, translate


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 21])
def test_native_graph_computes_what_onnx_runtime_computes_at_every_opset(models, rng, opset):
    if opset == 9:
        pytest.importorskip("onnx")
    model = models.classifier(opset=opset)
    network = translate(model)
    frame = rng.normal(0, 1, (16, 16, 3)).astype(np.float32)
    got = native(network, {"net/input_layer1": frame})
    want = reference(model, {"image": nchw(frame)})
    np.testing.assert_allclose(got[0], want[0][0], atol=1e-4)


def test_layers_carry_vendor_names_and_original_names(models):
    network = translate(models.classifier())
    found = {layer.name: (layer.kind, layer.activation) for layer in network.layers.layers}
    assert found == {
        "conv1": ("conv", "relu"),
        "dw1": ("dw", "silu"),
        "ew_add1": ("ew_add", "linear"),
        "maxpool1": ("maxpool", "linear"),
        "conv2": ("conv", "hardswish"),
        "avgpool1": ("avgpool", "linear"),
        "fc1": ("dense", "linear"),
        "softmax1": ("softmax", "linear"),
    }
    conv = network.layers.find("conv1")
    assert conv.original_names == ("/c1/Conv", "/bn1/BatchNormalization", "/relu1/Relu")


def test_yolov8_gets_the_numbers_of_the_vendors_published_script(models):
    network = translate(models.yolov8(), "yolov8n")
    streams = [port.stream for port in network.outputs]
    assert streams == [f"yolov8n/conv{n}" for n in (41, 42, 52, 53, 62, 63)]
    assert [port.shape for port in network.outputs[:2]] == [(8, 8, 64), (8, 8, 3)]


def test_hn_is_nhwc_with_scoped_names_and_links_both_ways(models):
    from hailo_emulator.hn import make_hn

    hn = make_hn(translate(models.two_inputs(), "pair"))
    layers = hn["layers"]
    assert layers["pair/input_layer1"]["output_shapes"] == [[-1, 8, 8, 3]]
    assert layers["pair/input_layer1"]["original_names"] == ["image"]
    assert layers["pair/input_layer2"]["output_shapes"] == [[-1, 4]]
    assert layers["pair/output_layer1"]["input"] == ["pair/fc1"]
    assert layers["pair/fc1"]["output"] == ["pair/output_layer1"]
    assert layers["pair/conv1"]["params"]["kernel_shape"] == [3, 3, 3, 8]
    assert hn["net_params"]["output_layers_order"] == ["pair/fc1"]


def test_every_input_of_a_network_of_two_is_fed_by_its_own_name(models, rng):
    model = models.two_inputs()
    image = rng.normal(0, 1, (8, 8, 3)).astype(np.float32)
    extra = rng.normal(0, 1, 4).astype(np.float32)
    got = native(translate(model), {"net/input_layer1": image, "net/input_layer2": extra})
    want = reference(model, {"image": nchw(image), "extra": extra[None]})
    np.testing.assert_allclose(got[0], want[0][0], atol=1e-4)


def test_image_outputs_come_as_nhwc(models, rng):
    model = models.fully_convolutional()
    network = translate(model)
    frame = rng.normal(0, 1, (12, 12, 1)).astype(np.float32)
    mask, depth = native(network, {"net/input_layer1": frame})
    want = reference(model, {"x": nchw(frame)})
    np.testing.assert_allclose(mask, want[0][0].transpose(1, 2, 0), atol=1e-4)
    np.testing.assert_allclose(depth, want[1][0].transpose(1, 2, 0), atol=1e-4)


def test_a_dynamic_batch_becomes_one(models):
    network = translate(models.classifier(batch="N"))
    assert network.inputs[0].onnx_shape == (1, 3, 16, 16)


def test_a_batch_of_four_becomes_one(models, rng):
    model = models.classifier(batch=4)
    frame = rng.normal(0, 1, (16, 16, 3)).astype(np.float32)
    got = native(translate(model), {"net/input_layer1": frame})
    want = reference(model, {"image": np.repeat(nchw(frame), 4, axis=0)})
    np.testing.assert_allclose(got[0], want[0][0], atol=1e-4)


def _dynamic(models):
    b = models.Builder()
    x = b.input("image", ["N", 3, "height", "width"])
    return b.build([b.conv(x, 4, name="/c/Conv")])


def test_dynamic_sizes_are_refused_with_the_recommendation_exception(models):
    from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException

    with pytest.raises(ParsingWithRecommendationException) as caught:
        translate(_dynamic(models))
    assert "op image: dynamic shape [1, 3, 'height', 'width'] is unsupported" in str(caught.value)


def test_input_shapes_make_a_dynamic_model_static(models):
    network = translate(_dynamic(models), input_shapes={"image": [1, 3, 10, 6]})
    assert network.outputs[0].shape == (10, 6, 4)


def test_end_nodes_cut_the_graph_and_keep_their_order(models):
    network = translate(models.classifier(), end_nodes=["/fc/Gemm", "/pool/MaxPool"])
    assert [port.original_name for port in network.outputs] == ["/fc/Gemm", "/pool/MaxPool"]
    assert [port.stream for port in network.outputs] == ["net/fc1", "net/maxpool1"]
    assert network.layers.find("softmax1") is None


def test_start_nodes_make_their_inputs_the_networks_inputs(models, rng):
    model = models.classifier()
    network = translate(model, start_nodes=["/pool/MaxPool"])
    assert network.inputs[0].shape == (16, 16, 8)
    assert network.layers.find("dw1") is None


def test_an_input_name_is_a_start_node_too(models):
    assert translate(models.classifier(), start_nodes=["image"]).inputs[0].shape == (16, 16, 3)


@pytest.mark.parametrize(("which", "text"), [("start", "start"), ("end", "end")])
def test_unknown_nodes_are_named_in_the_vendors_words(models, which, text):
    from hailo_sdk_client.model_translator.exceptions import MisspellNodeError

    with pytest.raises(MisspellNodeError) as caught:
        translate(models.classifier(), **{f"{which}_nodes": ["conv2d_60", "conv2d_61"]})
    assert str(caught.value) == f"Unable to find {text} node names: ['conv2d_60', 'conv2d_61']"


def test_a_decode_tail_is_refused_and_the_head_convolutions_are_recommended(models, capsys):
    from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException

    with pytest.raises(ParsingWithRecommendationException) as caught:
        translate(models.yolov8(tail=True))
    lines = str(caught.value).splitlines()
    nodes = [f"/model.22/{b}.{i}/{b}.{i}.2/Conv" for i in range(3) for b in ("cv2", "cv3")]
    assert lines[0] == "Parsing failed. The errors found in the graph are:"
    assert lines[1].strip() == (
        "UnsupportedShuffleLayerError in op /model.22/dfl/Reshape: Failed to determine type of "
        "layer to create in node /model.22/dfl/Reshape"
    )
    assert lines[-1] == (
        "Please try to parse the model again, using these end node names: " + ", ".join(nodes)
    )
    said = capsys.readouterr().out
    assert "NMS structure of yolov8 (or equivalent architecture) was detected." in said


def test_the_recommended_end_nodes_do_translate(models):
    nodes = [f"/model.22/{b}.{i}/{b}.{i}.2/Conv" for i in range(3) for b in ("cv2", "cv3")]
    network = translate(models.yolov8(tail=True), "yolov8n", end_nodes=nodes)
    assert [p.stream for p in network.outputs][-1] == "yolov8n/conv63"


_REFUSED = [
    ("TopK", {"extra": {"k": ([3], np.int64)}, "outputs": 2},
     "UnsupportedOperationError in op /topk/TopK: TopK operation is unsupported"),
    ("Mod", {"extra": {"m": ([2.0], np.float32)}, "fmod": 1},
     "UnsupportedOperationError in op /mod/Mod: Mod operation is unsupported"),
    ("GatherElements", {"extra": {"i": (np.zeros((1, 4, 8, 1)), np.int64)}, "axis": 3},
     ("UnsupportedOperationError in op /gatherelements/GatherElements: GatherElements operation "
     "is unsupported")),
    ("Reshape", {"extra": {"s": ([1, 2, 2, 8, 8], np.int64)}},
     ("UnsupportedShuffleLayerError in op /reshape/Reshape: Failed to determine type of layer to "
     "create in node /reshape/Reshape")),
    ("Transpose", {"perm": [3, 1, 2, 0]},
     ("UnsupportedShuffleLayerError in op /transpose/Transpose: Failed to determine type of layer "
     "to create in node /transpose/Transpose")),
    ("ReduceMax", {"axes": [0, 2]}, "UnsupportedReduceMaxLayerError in op /reducemax/ReduceMax:"),
    ("ReduceSum", {"extra": {"a": ([1, 2], np.int64)}},
     "UnsupportedReduceSumLayerError in op /reducesum/ReduceSum:"),
    ("Expand", {"extra": {"s": ([3, 4, 8, 8], np.int64)}},
     "UnexpectedNodeError in op /expand/Expand:"),
    ("Slice", {"extra": {"b": ([7], np.int64), "e": ([0], np.int64), "a": ([3], np.int64),
                         "s": ([-1], np.int64)}},
     "UnsupportedSliceLayerError in op /slice/Slice:"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "options", "line"), _REFUSED, ids=[case[0] for case in _REFUSED])
def test_what_the_chip_cannot_do_is_named_with_the_vendors_error(models, op, options, line):
    from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException

    with pytest.raises(ParsingWithRecommendationException) as caught:
        translate(models.single(op, **options))
    report = str(caught.value).splitlines()
    assert report[1].strip().startswith(line)
    assert report[-1].endswith("using these end node names: /conv/Conv")


def test_gather_with_a_computed_index_says_that_there_is_no_index(models):
    from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException

    b = models.Builder()
    x = b.input("x", [1, 4, 8, 8])
    y = b.conv(x, 4, name="/conv/Conv")
    index = b.node("Cast", [b.node("Relu", [y], name="/r/Relu")], name="/cast/Cast", to=7)
    model = b.build([b.node("Gather", [y, index], name="/g/Gather", axis=1)])
    with pytest.raises(ParsingWithRecommendationException, match="Cast to a type without"):
        translate(model)


def test_lstm_is_refused_by_name(models):
    from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException

    b = models.Builder()
    x = b.input("x", [1, 4, 6])
    w = b.constant("w", b.rng.normal(0, 1, (1, 16, 6)))
    r = b.constant("r", b.rng.normal(0, 1, (1, 16, 4)))
    model = b.build([b.node("LSTM", [x, w, r], name="/lstm/LSTM", hidden_size=4)])
    with pytest.raises(ParsingWithRecommendationException, match="UnsupportedLSTMLayerError"):
        translate(model)


def test_nan_weights_are_refused_with_the_vendors_words(models):
    from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import BackendValueError

    model = models.classifier()
    for tensor in model.graph.initializer:
        if tensor.name == "/c2/Conv.weight":
            values = onnx.numpy_helper.to_array(tensor).copy()
            values[0, 0, 0, 0] = np.nan
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    with pytest.raises(BackendValueError) as caught:
        translate(model, "yolov8m")
    assert str(caught.value) == (
        "Unsupported NaN values were found in params ['yolov8m/conv2/kernel:0']"
    )


@pytest.mark.parametrize("content", [b"", b"not an onnx file at all", b"\x00" * 64])
def test_what_is_no_onnx_model_is_said_so(content):
    from hailo_emulator.translate import translate as run
    from hailo_sdk_client.model_translator.exceptions import UnsupportedModelError

    with pytest.raises(UnsupportedModelError):
        run(content, "net")


def test_a_missing_file_is_a_missing_file(tmp_path):
    from hailo_emulator.translate import translate as run

    with pytest.raises(FileNotFoundError):
        run(tmp_path / "none.onnx", "net")


def test_weights_in_a_file_of_their_own_are_found(models, tmp_path, rng):
    from hailo_emulator.translate import translate as run

    model = models.classifier()
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path), save_as_external_data=True, size_threshold=64, location="w.bin")
    assert (tmp_path / "w.bin").stat().st_size > 0
    frame = rng.normal(0, 1, (16, 16, 3)).astype(np.float32)
    got = native(run(path, "net"), {"net/input_layer1": frame})
    want = reference(models.classifier(), {"image": nchw(frame)})
    np.testing.assert_allclose(got[0], want[0][0], atol=1e-4)


def test_nodes_without_names_get_their_own(models):
    model = models.classifier()
    for node in model.graph.node:
        node.name = ""
    names = [n for layer in translate(model).layers.layers for n in layer.original_names]
    assert len(names) == len(set(names))
    assert "Conv_0" in names


def test_shape_arithmetic_of_a_flatten_is_folded(models, rng):
    """PyTorch's ``x.view(x.size(0), -1)`` exports Shape, Gather, Unsqueeze, Concat, Reshape."""
    b = models.Builder()
    x = b.input("x", ["N", 3, 6, 6])
    y = b.node("Relu", [b.conv(x, 4, name="/c")], name="/r")
    shape = b.node("Shape", [y], name="/shape")
    first = b.node("Gather", [shape, b.constant("zero", 0, np.int64)], name="/gather", axis=0)
    first = b.node("Unsqueeze", [first, b.constant("axes", [0], np.int64)], name="/unsqueeze")
    both = b.node("Concat", [first, b.constant("rest", [-1], np.int64)], name="/concat", axis=0)
    y = b.node("Reshape", [y, both], name="/reshape")
    model = b.build([b.dense(y, 144, 5, name="/fc")])
    network = translate(model)
    assert [layer.name for layer in network.layers.layers] == ["conv1", "fc1"]
    frame = rng.normal(0, 1, (6, 6, 3)).astype(np.float32)
    want = reference(model, {"x": nchw(frame)})
    np.testing.assert_allclose(
        native(network, {"net/input_layer1": frame})[0], want[0][0], atol=1e-4
    )


def _shuffle(models, inner, perm, out):
    b = models.Builder()
    x = b.input("x", [1, 4, 4, 4])
    y = b.conv(x, 4, name="/c")
    y = b.node("Reshape", [y, b.constant("in", inner, np.int64)], name="/split")
    y = b.node("Transpose", [y], name="/swap", perm=perm)
    y = b.node("Reshape", [y, b.constant("out", out, np.int64)], name="/join")
    b.features[y] = out[1]
    return b.build([b.conv(y, 3, name="/end")])


@pytest.mark.parametrize(
    ("inner", "perm", "out"),
    [
        ([1, 2, 2, 4, 4], [0, 2, 1, 3, 4], [1, 4, 4, 4]),
        ([1, 1, 2, 2, 4, 4], [0, 1, 4, 2, 5, 3], [1, 1, 8, 8]),
        ([1, 4, 2, 2, 2, 2], [0, 1, 3, 5, 2, 4], [1, 16, 2, 2]),
    ],
    ids=["channel-shuffle", "pixel-shuffle", "pixel-unshuffle"],
)
def test_shuffles_written_as_three_nodes_are_one_layer(models, rng, inner, perm, out):
    model = _shuffle(models, inner, perm, out)
    network = translate(model)
    assert [layer.name for layer in network.layers.layers] == ["conv1", "feature_shuffle1", "conv2"]
    frame = rng.normal(0, 1, (4, 4, 4)).astype(np.float32)
    want = reference(model, {"x": nchw(frame)})[0][0].transpose(1, 2, 0)
    np.testing.assert_allclose(native(network, {"net/input_layer1": frame})[0], want, atol=1e-4)


def test_a_trailing_change_to_nhwc_is_not_done_twice(models, rng):
    b = models.Builder()
    x = b.input("x", [1, 3, 4, 6])
    y = b.conv(x, 5, name="/c")
    model = b.build([b.node("Transpose", [y], name="/t", perm=[0, 2, 3, 1])])
    network = translate(model)
    assert network.outputs[0].shape == (4, 6, 5)
    frame = rng.normal(0, 1, (4, 6, 3)).astype(np.float32)
    want = reference(model, {"x": nchw(frame)})[0][0]
    np.testing.assert_allclose(native(network, {"net/input_layer1": frame})[0], want, atol=1e-4)

"""Translation of whole blocks: attention, activations, norms, and what newer exporters write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from .translation import native, nchw, reference, translate


def attention(models):
    """One head-split self-attention over pixels and a linear layer on tokens, as in YOLO11."""
    b = models.Builder()
    x = b.input("x", [1, 3, 4, 4])
    qkv = b.conv(x, 24, 1, name="/qkv")
    y = b.node("Reshape", [qkv, b.constant("s1", [1, 2, 12, 16], np.int64)], name="/r1")
    sizes = b.constant("sizes", [4, 4, 4], np.int64)
    q, k, v = b.node("Split", [y, sizes], name="/split", outputs=3, axis=2)
    q = b.node("Transpose", [q], name="/qt", perm=[0, 1, 3, 2])
    y = b.node("MatMul", [q, k], name="/qk")
    y = b.node("Mul", [y, b.constant("scale", 0.5)], name="/scale")
    y = b.node("Softmax", [y], name="/softmax", axis=3)
    y = b.node("Transpose", [y], name="/at", perm=[0, 1, 3, 2])
    y = b.node("MatMul", [v, y], name="/av")
    y = b.node("Reshape", [y, b.constant("s2", [1, 8, 4, 4], np.int64)], name="/r2")
    b.features[y] = 8
    y = b.conv(y, 6, 1, name="/proj")
    y = b.node("Reshape", [y, b.constant("s3", [1, 6, 16], np.int64)], name="/flat")
    y = b.node("Transpose", [y], name="/tokens", perm=[0, 2, 1])
    y = b.node(
        "LayerNormalization",
        [y, b.constant("g", np.ones(6)), b.constant("h", np.zeros(6))],
        name="/norm",
        axis=-1,
    )
    y = b.node("MatMul", [y, b.constant("w", b.rng.normal(0, 0.4, (6, 5)))], name="/linear")
    y = b.node("Add", [b.constant("bias", b.rng.normal(0, 0.1, 5)), y], name="/linear/Add")
    return b.build([b.node("ReduceMean", [y], name="/mean", axes=[1], keepdims=0)])


def test_attention_over_pixels_and_linear_layers_on_tokens_translate(models, rng):
    models_17 = attention(models)
    models_17.opset_import[0].version = 17
    network = translate(models_17)
    names = [layer.name for layer in network.layers.layers]
    assert "matmul1" in names
    assert "layer_normalization1" in names
    assert network.layers.find("conv3").original_names == ("/linear", "/linear/Add")
    frame = rng.normal(0, 1, (4, 4, 3)).astype(np.float32)
    want = reference(models_17, {"x": nchw(frame)})[0][0]
    np.testing.assert_allclose(native(network, {"net/input_layer1": frame})[0], want, atol=1e-4)


def _gelu(models):
    b = models.Builder()
    x = b.input("x", [1, 3, 4, 4])
    y = b.conv(x, 4, name="/c")
    e = b.node("Div", [y, b.constant("root", 1.4142135)], name="/div")
    e = b.node("Erf", [e], name="/erf")
    e = b.node("Add", [e, b.constant("one", 1.0)], name="/add")
    e = b.node("Mul", [y, e], name="/mul")
    return b.build([b.node("Mul", [e, b.constant("half", 0.5)], name="/half")])


def test_gelu_written_as_five_nodes_is_the_convolutions_activation(models):
    layers = translate(_gelu(models)).layers.layers
    assert [(layer.name, layer.activation) for layer in layers] == [("conv1", "gelu")]


def test_an_anchor_constant_that_does_not_broadcast_is_refused(models):
    from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException

    b = models.Builder()
    x = b.input("x", [1, 3, 4, 4])
    y = b.conv(x, 2, name="/c/Conv")
    y = b.node("Reshape", [y, b.constant("s", [1, 2, 16], np.int64)], name="/flat")
    anchors = b.constant("anchors", np.zeros((1, 2, 16)))
    model = b.build([b.node("Sub", [y, anchors], name="/model.22/Sub")])
    with pytest.raises(ParsingWithRecommendationException) as caught:
        translate(model)
    assert (
        "UnsupportedModelError in op /model.22/Sub: constant shape (1,2,16) not broadcastable to "
        "[1, 16, 2]"
    ) in str(caught.value)
    assert str(caught.value).endswith("/c/Conv")


def test_unknown_domains_are_refused_as_operations(models):
    from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException

    b = models.Builder()
    x = b.input("x", [1, 3, 4, 4])
    y = b.conv(x, 2, name="/c/Conv")
    b.nodes.append(helper.make_node("DeformConv2d", [y], ["z"], name="/d", domain="mmdeploy"))
    graph = helper.make_graph(
        b.nodes, "g", b.inputs,
        [helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, None)], b.constants,
    )  # fmt: skip
    imports = [helper.make_opsetid("", 13), helper.make_opsetid("mmdeploy", 1)]
    model = helper.make_model(graph, opset_imports=imports)
    with pytest.raises(ParsingWithRecommendationException, match="DeformConv2d operation is"):
        translate(model)


def test_paths_and_bytes_give_the_same_network(models, tmp_path: Path):
    from hailo_emulator.hn import make_hn
    from hailo_emulator.translate import translate as run

    model = models.classifier()
    path = models.save(model, tmp_path / "m.onnx")
    assert make_hn(run(path, "n")) == make_hn(run(model.SerializeToString(), "n"))


def _written_out_norm(models, *, scale=True):
    b = models.Builder()
    x = b.input("x", [1, 3, 4, 4])
    y = b.conv(x, 6, 1, name="/embed")
    y = b.node("Reshape", [y, b.constant("s", [1, 6, 16], np.int64)], name="/flat")
    y = b.node("Transpose", [y], name="/tokens", perm=[0, 2, 1])
    mean = b.node("ReduceMean", [y], name="/mean", axes=[-1])
    centred = b.node("Sub", [y, mean], name="/sub")
    square = b.node("Pow", [centred, b.constant("two", 2.0)], name="/pow")
    spread = b.node("ReduceMean", [square], name="/var", axes=[-1])
    spread = b.node("Add", [spread, b.constant("eps", 1e-5)], name="/eps")
    y = b.node("Div", [centred, b.node("Sqrt", [spread], name="/sqrt")], name="/div")
    if scale:
        y = b.node("Mul", [y, b.constant("g", b.rng.uniform(0.5, 1.5, 6))], name="/gamma")
        y = b.node("Add", [y, b.constant("h", b.rng.normal(0, 1, 6))], name="/beta")
    return b.build([y])


@pytest.mark.parametrize("scale", [True, False])
def test_a_layer_norm_of_an_old_opset_is_one_layer(models, rng, scale):
    model = _written_out_norm(models, scale=scale)
    network = translate(model)
    kinds = [layer.kind for layer in network.layers.layers]
    assert kinds == ["conv", "format_conversion", "format_conversion", "layer_normalization"]
    frame = rng.normal(0, 1, (4, 4, 3)).astype(np.float32)
    want = reference(model, {"x": nchw(frame)})[0]
    np.testing.assert_allclose(native(network, {"net/input_layer1": frame})[0], want, atol=1e-4)


def test_stacked_query_key_and_value_translate(models, rng):
    """timm's attention: (N, L, 3, heads, D) turned to (3, N, heads, L, D) and taken apart."""
    b = models.Builder()
    x = b.input("x", [1, 3, 4, 4])
    y = b.conv(x, 24, 1, name="/embed")
    y = b.node("Reshape", [y, b.constant("s0", [1, 24, 16], np.int64)], name="/flat")
    y = b.node("Transpose", [y], name="/tokens", perm=[0, 2, 1])
    y = b.node("Reshape", [y, b.constant("s1", [1, 16, 3, 2, 4], np.int64)], name="/split")
    y = b.node("Transpose", [y], name="/stack", perm=[2, 0, 3, 1, 4])
    q, k, v = (
        b.node("Gather", [y, b.constant(f"i{n}", n, np.int64)], name=f"/take{n}", axis=0)
        for n in range(3)
    )
    k = b.node("Transpose", [k], name="/kt", perm=[0, 1, 3, 2])
    a = b.node("Softmax", [b.node("MatMul", [q, k], name="/qk")], name="/softmax", axis=-1)
    y = b.node("MatMul", [a, v], name="/av")
    y = b.node("Transpose", [y], name="/back", perm=[0, 2, 1, 3])
    y = b.node("Reshape", [y, b.constant("s2", [1, 16, 8], np.int64)], name="/merge")
    model = b.build([b.node("ReduceMean", [y], name="/pool", axes=[1], keepdims=0)])
    frame = rng.normal(0, 1, (4, 4, 3)).astype(np.float32)
    want = reference(model, {"x": nchw(frame)})[0][0]
    got = native(translate(model), {"net/input_layer1": frame})[0]
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_several_bad_operations_are_all_reported(models):
    from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException

    b = models.Builder()
    x = b.input("x", [1, 3, 8, 8])
    left, right = (b.conv(x, 4, name=f"/{side}/Conv") for side in ("left", "right"))
    bad = [
        b.node("Mod", [t, b.constant(f"m{n}", 2.0)], name=f"/mod{n}", fmod=1)
        for n, t in enumerate((left, right))
    ]
    with pytest.raises(ParsingWithRecommendationException) as caught:
        translate(b.build(bad))
    lines = str(caught.value).splitlines()
    assert [line.split()[3] for line in lines[1:3]] == ["/mod0:", "/mod1:"]
    assert lines[3].endswith("/left/Conv, /right/Conv")


def test_a_group_norm_as_pytorch_writes_it_is_one_layer(models, rng):
    b = models.Builder()
    x = b.input("x", [1, 3, 6, 6])
    y = b.conv(x, 8, name="/c")
    y = b.node("Reshape", [y, b.constant("s1", [0, 2, -1], np.int64)], name="/groups")
    y = b.node("InstanceNormalization", [y, b.constant("one", [1, 1]), b.constant("zero", [0, 0])],
               name="/norm")  # fmt: skip
    y = b.node("Reshape", [y, b.constant("s2", [1, 8, 6, 6], np.int64)], name="/back")
    y = b.node("Mul", [y, b.constant("g", b.rng.uniform(0.5, 2, (8, 1, 1)))], name="/gamma")
    y = b.node("Add", [y, b.constant("h", b.rng.normal(0, 1, (8, 1, 1)))], name="/beta")
    model = b.build([b.node("Relu", [y], name="/relu")])
    network = translate(model)
    found = [(layer.name, layer.activation) for layer in network.layers.layers]
    assert found == [("conv1", "linear"), ("group_normalization1", "relu")]
    frame = rng.normal(0, 1, (6, 6, 3)).astype(np.float32)
    want = reference(model, {"x": nchw(frame)})[0][0].transpose(1, 2, 0)
    np.testing.assert_allclose(native(network, {"net/input_layer1": frame})[0], want, atol=1e-4)


def test_a_half_precision_model_is_computed_in_single(models, rng):
    """Every float type becomes single precision, casts between them go."""
    model = models.classifier()
    half = onnx.ModelProto()
    half.CopyFrom(model)
    for tensor in half.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor)
        if value.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float16), tensor.name))
    del half.graph.value_info[:]
    for value in (*half.graph.input, *half.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    frame = rng.normal(0, 1, (16, 16, 3)).astype(np.float32)
    got = native(translate(half), {"net/input_layer1": frame})
    want = reference(model, {"image": nchw(frame)})
    np.testing.assert_allclose(got[0], want[0][0], atol=2e-3)


def test_inputs_of_rank_three_have_a_height_of_one(models, rng):
    b = models.Builder()
    x = b.input("x", [1, 1, 5])
    y = b.node("Flatten", [x], name="/flat", axis=1)
    model = b.build([b.dense(y, 5, 3, name="/fc")])
    network = translate(model)
    assert network.inputs[0].shape == (1, 5, 1)
    frame = rng.normal(0, 1, (1, 5, 1)).astype(np.float32)
    want = reference(model, {"x": frame[0].T[None]})[0][0]
    np.testing.assert_allclose(native(network, {"net/input_layer1": frame})[0], want, atol=1e-5)


_F, _I = np.float32, np.int64
_SUPPORTED = {
    "LeakyRelu": {"alpha": 0.1}, "Elu": {}, "Tanh": {}, "Softplus": {}, "HardSigmoid": {},
    "PRelu": {"extra": {"slope": (np.full((4, 1, 1), 0.2), _F)}},
    "Clip": {"extra": {"low": (-0.5, _F), "high": (0.7, _F)}},
    "AveragePool": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]},
    "GlobalMaxPool": {}, "ReduceMax": {"axes": [2, 3]}, "ReduceMean": {"axes": [1]},
    "ReduceSum": {"extra": {"axes": ([2, 3], _I)}}, "ReduceL2": {"axes": [1]},
    "Softmax": {"axis": 1}, "LogSoftmax": {"axis": 1},
    "InstanceNormalization": {"extra": {"s": (np.ones(4), _F), "b": (np.zeros(4), _F)}},
    "DepthToSpace": {"blocksize": 2, "mode": "CRD"}, "SpaceToDepth": {"blocksize": 2},
    "Pad": {"extra": {"pads": ([0, 0, 1, 2, 0, 0, 0, 1], _I), "value": (0.0, _F)}},
    "Slice": {"extra": {"s": ([1, 0], _I), "e": ([3, 8], _I), "a": ([1, 2], _I),
                        "st": ([1, 2], _I)}},
    "Gather": {"extra": {"i": ([2, 0], _I)}, "axis": 1},
    "Transpose": {"perm": [0, 1, 3, 2]},
    "Add": {"extra": {"c": (np.arange(4).reshape(4, 1, 1), _F)}},
    "Div": {"extra": {"c": (3.0, _F)}}, "Pow": {"extra": {"c": (2.0, _F)}},
    "ConvTranspose": {"extra": {"w": (np.linspace(-1, 1, 96).reshape(4, 6, 2, 2), _F)},
                      "kernel_shape": [2, 2], "strides": [2, 2]},
    "Resize": {"extra": {"": (0, _F), "scales": ([1, 1, 2, 2], _F)}, "mode": "linear",
               "coordinate_transformation_mode": "half_pixel"},
}  # fmt: skip


@pytest.mark.parametrize("op", sorted(_SUPPORTED))
def test_every_supported_operation_computes_what_onnx_runtime_computes(models, rng, op):
    model = models.single(op, **_SUPPORTED[op])
    network = translate(model)
    frame = rng.normal(0, 1, (8, 8, 4)).astype(np.float32)
    want = reference(model, {"x": nchw(frame)})[0][0]
    got = native(network, {"net/input_layer1": frame})[0]
    np.testing.assert_allclose(got, want.transpose(1, 2, 0), atol=1e-4)
    assert got.shape == network.outputs[0].shape


def test_weights_that_do_not_fit_the_input_are_refused_in_the_vendors_words(models):
    from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException

    b = models.Builder()
    x = b.input("x", [1, 5, 8, 8])
    b.features["x"] = 3
    y = b.conv(x, 4, name="/c/Conv")
    info = helper.make_tensor_value_info(y, onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(b.nodes, "g", b.inputs, [info], b.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    with pytest.raises(ParsingWithRecommendationException) as caught:
        translate(model)
    assert "Kernel features: 3 Input features: 5 Groups: 1" in str(caught.value)


def test_a_branch_in_the_graph_is_refused_where_it_begins(models):
    from hailo_sdk_client.model_translator.exceptions import ParsingWithRecommendationException

    b = models.Builder()
    x = b.input("x", [1, 3, 8, 8])
    y = b.conv(x, 4, name="/c/Conv")
    flag = b.constant("flag", True, np.bool_)

    def branch(op):
        info = helper.make_tensor_value_info(f"{op}_out", onnx.TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op, [y], [f"{op}_out"])], op, [], [info])

    node = helper.make_node("If", [flag], ["out"], name="/if", then_branch=branch("Relu"),
                            else_branch=branch("Neg"))  # fmt: skip
    info = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph([*b.nodes, node], "g", b.inputs, [info], b.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    with pytest.raises(ParsingWithRecommendationException, match="If operation is unsupported"):
        translate(model)

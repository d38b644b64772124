"""The commands of the model script language and their arguments: one row a command.

The linter, the generator and the emulator read this table, so that none of them knows a form
that another refuses. Taken from all scripts that the Model Zoo published with its releases 1.4
to 5.2 (``seen``) and, where that is empty, from scripts that compilers wrote into public logs;
the vendor publishes no grammar. What a table cannot know (a keyword of a newer version) is a
warning, never an error, for the commands that compilers write themselves (``loose``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import FrozenSet, Mapping, Optional, Tuple

from hefsmith_worker.contract.families import META_ARCHS

#: The Model Zoo release of the oldest compiler that is built with (3.27).
OLDEST_RELEASE = (2, 11)

#: Kinds of values: what an argument must look like.
INTEGER = "a whole number"
NUMBER = "a number"
BOOLEAN = "True or False"
SWITCH = "enabled, disabled or allowed"
WORD = "a word"
TEXT = "a quoted file name"
LAYER = "a layer"
LAYERS = "a layer, a list of layers or a pattern in braces"
NUMBERS = "a list of numbers"
WORDS = "a list of words"
DURATION = "a time (seconds, or 25m, 5h)"
ANY = "a value"


@dataclass(frozen=True)
class Argument:
    """One argument: its kind, and the words that it takes when they are known."""

    kind: str
    choices: FrozenSet[str] = frozenset()


#: What a command has an effect on.
NETWORK = "what the network computes"
QUANTISATION = "how it is quantised"
PLACEMENT = "where it runs on the chip"


@dataclass(frozen=True)
class CommandSpec:
    """What a command takes.

    ``target`` is ``needed``, ``allowed`` or ``none`` (a name left of ``=``). ``positional`` are
    the arguments by place, ``required`` how many of them must be there, ``repeats`` whether the
    last one may come several times. ``groups`` names the keywords of each first argument where
    they depend on it. ``seen`` are the first and the last Model Zoo release whose scripts have
    the command, empty where only logs do.
    """

    target: str = "none"
    positional: Tuple[Argument, ...] = ()
    required: int = 0
    repeats: bool = False
    keyword: Mapping[str, Argument] = field(default_factory=dict)
    groups: Optional[Mapping[str, Mapping[str, Argument]]] = None
    loose: bool = False
    effect: str = PLACEMENT
    seen: Optional[Tuple[str, str]] = None

    @property
    def lines(self) -> Tuple[int, ...]:
        """The compiler lines (3, 5) whose public scripts have the command; all when unknown."""
        if self.seen is None:
            return (3, 5)
        first, last = (int(release.split(".")[0]) for release in self.seen)
        return tuple(line for line, zoo in ((3, 2), (5, 5)) if first <= zoo <= last)

    @property
    def retired(self) -> bool:
        """Whether no script of a release that is built with today has the command any more.

        Compilers still write the placement commands that nobody writes by hand.
        """
        if self.seen is None or self.loose:
            return False
        major, minor = (int(part) for part in self.seen[1].split("."))
        return (major, minor) < OLDEST_RELEASE


def _one(*choices: str) -> Argument:
    return Argument(WORD, frozenset(choices))


_INT = Argument(INTEGER)
_NUM = Argument(NUMBER)
_BOOL = Argument(BOOLEAN)
_SWITCH = Argument(SWITCH)
_LAYER = Argument(LAYER)
_LAYERS = Argument(LAYERS)
_NUMBERS = Argument(NUMBERS)
_WORD = Argument(WORD)
_ANY = Argument(ANY)
_POLICY = _one("enabled", "disabled", "allowed")
_PRECISION = _one(
    "a8_w8", "a8_w4", "a8_w4_a8", "a8_w8_a8", "a8_w8_a16", "a16_w16", "a16_w16_a16", "a16_w16_a8",
    "a16_w8", "a16_w8_a16", "a16_w4", "a16_w4_a16",
)  # fmt: skip
_META_ARCH = _one(*META_ARCHS)
_MEAN_STD_LAYER = (_NUMBERS, _NUMBERS, _LAYER)

_FINETUNE: Mapping[str, Argument] = {
    "policy": _POLICY,
    "learning_rate": _NUM,
    "epochs": _INT,
    "dataset_size": _INT,
    "batch_size": _INT,
    "loss_layer_names": Argument(LAYERS),
    "loss_types": Argument(WORDS),
    "loss_factors": _NUMBERS,
    "def_loss_type": _one("l2", "l2rel", "ce", "cosine"),
    "warmup_epochs": _INT,
    "meta_arch": _WORD,
    "stop_gradient_at_loss": _BOOL,
    "native_layers": Argument(LAYERS),
    "layers_to_freeze": Argument(LAYERS),
    "optimizer": _WORD,
    "bias_only": _BOOL,
    "mode": _WORD,
    "decay_rate": _NUM,
    "decay_epochs": _INT,
    "warmup_lr": _NUM,
    "lr_schedule_type": _WORD,
    "train_scales": _BOOL,
}
_TOGGLE: Mapping[str, Argument] = {"policy": _POLICY}

COMMANDS: Mapping[str, CommandSpec] = {
    # Changes of the network.
    "normalization": CommandSpec("needed", _MEAN_STD_LAYER, 2, effect=NETWORK, seen=("2.1", "5.2")),
    "input_conversion": CommandSpec(
        "needed",
        (_LAYER, _one(
            "yuv_to_rgb", "yuv_to_bgr", "bgr_to_rgb", "nv12_to_rgb", "nv21_to_rgb",
            "nv12_to_hailo_yuv", "yuy2_to_hailo_yuv", "yuy2_to_rgb", "i420_to_hailo_yuv",
            "i420_to_rgb", "tf_rgbx_to_hailo_rgb", "tf_rgbx_to_hailo_bgr", "rgbx_to_rgb",
        )),
        1,
        keyword={"emulator_support": _BOOL}, effect=NETWORK, seen=("2.5", "5.2")
    ),
    "yuv_to_rgb": CommandSpec("needed", (_LAYER,), 0, effect=NETWORK, seen=("2.1", "2.9")),
    "bgr_to_rgb": CommandSpec("needed", (_LAYER,), 0, effect=NETWORK),
    "resize": CommandSpec(
        "needed",
        (_LAYERS,),
        0,
        keyword={
            "resize_shapes": _NUMBERS,
            "resize_method": _one("bilinear", "nearest_neighbor"),
            "pixels_mode": _WORD,
            "engine": _one("nn_core", "pcie", "dsp"),
        }, effect=NETWORK, seen=("2.10", "5.2")
    ),
    "resize_input": CommandSpec("needed", (_NUMBERS, _LAYER), 1,
        effect=NETWORK, seen=("2.1", "2.9")),
    "transpose": CommandSpec("allowed", (_LAYER,), 0, effect=NETWORK, seen=("2.1", "2.8")),
    "change_output_activation": CommandSpec(
        "none",
        (_ANY, _one(
            "linear", "relu", "relu6", "leaky", "elu", "sigmoid", "exp", "tanh", "softplus",
            "silu", "swish", "threshold", "mish", "hardswish", "hardsigmoid", "gelu", "softmax",
        )),
        1, effect=NETWORK, seen=("2.4", "5.2")
    ),
    "logits_layer": CommandSpec(
        "needed", (_LAYER, _one("softmax", "argmax"), _INT, _one("cpu", "nn_core")), 2,
        keyword={"engine": _one("cpu", "nn_core")}, effect=NETWORK, seen=("2.9", "5.2")
    ),
    "nms_postprocess": CommandSpec(
        "allowed",
        (Argument(TEXT), _META_ARCH),
        0,
        keyword={
            "meta_arch": _META_ARCH,
            "engine": _one("cpu", "nn_core", "auto"),
            "bbox_decoding_only": _BOOL,
            "classes": _INT,
            "nms_scores_th": _NUM,
            "nms_iou_th": _NUM,
            "max_proposals_per_class": _INT,
            "image_dims": _NUMBERS,
            "config_path": Argument(TEXT),
            "regression_length": _INT,
            "background_removal": _BOOL,
            "background_removal_index": _INT,
            "centers_scale_factor": _NUM,
            "bbox_dimensions_scale_factor": _NUM,
            "dfl_on_nn_core": _BOOL,
        }, effect=NETWORK, seen=("2.3", "5.2")
    ),
    "network_group": CommandSpec("needed", (_LAYERS,), 1, loose=True, seen=("2.13", "5.2")),
    "set_seed": CommandSpec("none", (_INT,), 0, keyword={"seed": _INT}, seen=("2.9", "5.0")),
    # Model optimisation.
    "model_optimization_flavor": CommandSpec(
        keyword={"optimization_level": _INT, "compression_level": _INT, "batch_size": _INT},
        effect=QUANTISATION, seen=("2.3", "5.2")
    ),
    "model_optimization_config": CommandSpec(
        "none",
        (_one("calibration", "globals", "checker_cfg", "negative_exponent", "compression_params",
              "mixed_precision_search", "qat"),),
        1,
        groups={
            "calibration": {"batch_size": _INT, "calibset_size": _INT},
            "globals": {
                "multiproc_policy": _POLICY, "gpu_policy": _WORD, "output_16bit": _SWITCH,
                "output_encoding_vector": _SWITCH, "deterministic": _SWITCH,
            },
            "checker_cfg": {
                "policy": _POLICY, "analyze_mode": _one("simple", "advanced"),
                "dataset_size": _INT, "batch_size": _INT, "batch_norm_checker": _BOOL,
            },
            "negative_exponent": {"layers": _LAYERS, "rank": _INT, "auto_clip": _SWITCH,
                                  "auto_remove_offset": _SWITCH},
            "compression_params": {"auto_4bit_weights_ratio": _NUM,
                                   "auto_16bit_weights_ratio": _NUM},
            "mixed_precision_search": {"policy": _POLICY, "dataset_size": _INT, "batch_size": _INT,
                                       "snr_cap": _NUM, "compresions_markers": _NUMBERS,
                                       "compression_markers": _NUMBERS, "optimizer": _WORD,
                                       "output_regularizer": _WORD, "comparison_layers": _LAYERS},
        }, effect=QUANTISATION, seen=("2.0", "5.2")
    ),
    "pre_quantization_optimization": CommandSpec(
        "none",
        (_one("equalization", "activation_clipping", "weights_clipping", "ew_add_fusing",
              "layer_norm_decomposition", "layer_decomposition", "matmul_decomposition",
              "matmul_equalization", "matmul_correction", "dead_channels_removal",
              "zero_static_channels", "se_optimization", "conv_decomposition",
              "global_avgpool_reduction", "add_shortcut_layer", "defuse", "split_ew_mult_by_bit",
              "quarot", "smart_softmax_stats", "split_activations", "split_fused_activation",
              "switch_concat_with_add", "max_pool_decomposition", "avgpool_decomposition",
              "unshuffle", "normalization_scaling", "resolution_reduction",
              "subclusters_no_contexts", "decompose_conv_factor",
              "conv_a16_w4_decomposition"),),
        1,
        keyword={
            "policy": _POLICY, "layers": _LAYERS, "mode": _WORD, "clipping_values": _NUMBERS,
            "recollect_stats": _BOOL, "method": _WORD, "count": _INT, "tile_height": _INT,
            "equalization": _SWITCH, "bit_decomposition_mode": _WORD, "correction_type": _WORD,
            "matmul_bias": _SWITCH, "division_factors": _NUMBERS, "infusible_ew_add_type": _WORD,
            "eq_consumer": _BOOL, "equalization_target": _WORD, "token_count": _INT,
            "num_splits": _INT, "enabled": _BOOL, "target": _LAYERS,
        },
        loose=True, effect=QUANTISATION, seen=("1.4", "5.2")
    ),
    "post_quantization_optimization": CommandSpec(
        "none",
        (_one("finetune", "bias_correction", "adaround", "train_encoding",
              "mix_precision_search"),),
        1,
        groups={
            "finetune": _FINETUNE,
            "bias_correction": {**_TOGGLE, "cache_compression": _SWITCH, "layers": _LAYERS},
            "adaround": {
                **_TOGGLE, "learning_rate": _NUM, "epochs": _INT, "dataset_size": _INT,
                "batch_size": _INT, "train_bias": _BOOL, "warmup": _NUM, "weight": _NUM,
                "mode": _WORD, "b_range": _NUMBERS, "decay_start": _NUM,
                "bias_correction_count": _INT,
                "layers": _LAYERS, "cache_compression": _SWITCH, "train_scales": _BOOL,
            },
            "mix_precision_search": {**_TOGGLE, "batch_size": _INT, "dataset_size": _INT},
        }, effect=QUANTISATION, seen=("1.4", "5.2")
    ),
    "quantization_param": CommandSpec(
        "none",
        (_LAYERS,),
        1,
        keyword={
            "precision_mode": _PRECISION,
            "bias_mode": _one("single_scale_decomposition", "double_scale_initialization",
                              "double_scale_decomposition"),
            "force_range_in": _NUMBERS, "force_range_out": _NUMBERS, "force_range_index": _INT,
            "force_range_preact": _NUMBERS, "signed_output": _SWITCH,
            "max_elementwise_feed_repeat": _INT, "max_bias_feed_repeat": _INT,
            "weight_group_size": _INT, "activation_fit": _SWITCH,
            "null_channels_cutoff_factor": _NUM,
            "output_encoding_vector": _SWITCH, "quantization_groups": _INT, "gpu_policy": _WORD,
        }, effect=QUANTISATION, seen=("1.4", "5.2")
    ),
    # Compilation.
    "performance_param": CommandSpec(
        "none",
        (_LAYERS,),
        0,
        keyword={
            "compiler_optimization_level": Argument(ANY), "optimization_level": Argument(ANY),
            "optimize_for_batch": _INT, "fps": _NUM, "optimize_for_power": _BOOL,
        }, seen=("2.4", "5.2")
    ),
    "resources_param": CommandSpec(
        "none",
        (_LAYERS,),
        0,
        keyword={
            **{f"max_{what}utilization": _NUM for what in (
                "", "compute_", "control_", "memory_", "compute_16bit_", "apu_", "input_aligner_",
            )},
            "strategy": _one("greedy", "automatic"),
        }, seen=("1.4", "5.2")
    ),
    "context_switch_param": CommandSpec(
        keyword={
            "mode": _one("enabled", "disabled", "allowed", "auto"), "toposort_mode": _WORD,
            "slotter_chances": _INT, "share_buckets_partition": _BOOL,
            "auto_partition_to_buckets": _BOOL, "berkitizer_min_size": _INT,
            "berkitizer_bucket_size": _INT, "allow_auto_merge_in_multicontext": _BOOL,
            **{f"{kind}_{what}utilization": _NUM for kind in ("goal_network", "max") for what in (
                "", "compute_", "control_", "memory_", "weights_",
            )},
        },
        loose=True, seen=("1.4", "5.2")
    ),
    "allocator_param": CommandSpec(
        keyword={
            "timeout": Argument(DURATION), "cluster_timeout": Argument(DURATION),
            "splitter_timeout": Argument(DURATION), "width_splitter_defuse": _SWITCH,
            "automatic_reshapes": Argument(ANY), "automatic_ddr": Argument(ANY),
            "optimize_pipeline_stoppage": _BOOL, "merge_min_layer_utilization": _NUM,
            "merge_max_layer_utilization": _NUM, "merge_max_memory_utilization": _NUM,
            "max_auto_defuse": _INT, "max_auto_merge_depth": _INT, "enable_fixer": Argument(ANY),
            "enable_partial_row_buffers": Argument(ANY),
            "enable_post_split_average_buffers": Argument(ANY),
            "enable_axis_upsize": Argument(ANY), "strategy": _WORD, "seed": _INT,
            "fps_ratio_impact": _NUM, "input_layer_max_successors": _INT, "ppu_reshape_slack": _INT,
            "enable_single_buffer_for_feasibility": _BOOL, "enable_swapper": _BOOL,
            "enable_muxer": _BOOL, "enable_lanes": _BOOL, "enable_lcu_ecc": _BOOL,
            "disable_row_per_cut": _BOOL, "enable_collapser": _BOOL, "enable_hw_padding": _BOOL,
            "enable_auto_spatial_reshapes": _BOOL, "enable_auto_spatial_collapse": _BOOL,
            "automatic_resize_reshapes": Argument(ANY), "auto_split_const_inputs": _BOOL,
            "automatic_l4_portals": _BOOL, "automatic_l4_portals_l3_cuts_threshold": _INT,
            "automatic_ddr_l3_cuts_threshold": _INT, "calculate_power": _BOOL,
            "defuse_by_validator": _BOOL, "enable_automatic_features_chunks": _BOOL,
            "enable_automatic_join": _BOOL, "enable_automatic_offdevice_outputs": _BOOL,
            "enable_defuse_with_slack": _BOOL, "enable_unikorn": _BOOL,
            "force_map_on_mirror": _BOOL,
            "run_format_fixer": _BOOL, "spatial_defuse_legacy": _BOOL, "validate": _BOOL,
        },
        loose=True, seen=("1.4", "5.2")
    ),
    "hef_param": CommandSpec(
        keyword={
            "strict_runtime_versioning": _BOOL, "share_config": _SWITCH, "cfg_channel_count": _INT,
            "dma_engine_count": _INT, "enable_csm_crc": _SWITCH, "enable_ko": _SWITCH,
            "enable_lcu_from_sequencer": _SWITCH, "enable_self_reset_optimization": _SWITCH,
            "should_use_sequencer": _BOOL, "params_load_time_compression": _BOOL,
            "should_run_full_validation": _BOOL,
        },
        loose=True, seen=("1.4", "5.2")
    ),
    "platform_param": CommandSpec(
        keyword={"hef_version": _INT, "targets": Argument(WORDS), "hints": Argument(ANY)},
        loose=True, seen=("2.2", "5.2")
    ),
    "internal_context_switch_param": CommandSpec(loose=True),
    "internal_allocator_param": CommandSpec(loose=True),
    "buffer_calc_param": CommandSpec(
        keyword={"buffer_calc_fps": _NUM, "optimize_buffers": _BOOL,
                 "split_aware_optimize_buffers": _BOOL},
        loose=True, seen=("1.4", "2.11")
    ),
    "spatial_reshape_flow_params": CommandSpec(keyword={"buffer_size_factor": _NUM},
        loose=True, seen=("5.2", "5.2")),
    # Placement, as the compiler writes it back.
    "compilation_param": CommandSpec(
        "none",
        (_LAYERS,),
        1,
        keyword={
            "balance_output_multisplit": _SWITCH, "buffer_in_l4": _BOOL,
            "compress_l3_weights": _SWITCH, "defuse_num_layers": _INT, "defuse_spatial_w": _BOOL,
            "enable_ew_add_optimization": _SWITCH, "enable_nested_defuse": _BOOL,
            "hw_layer_type_list": Argument(WORDS), "layer_output_buffers_format": _WORD,
            "mixed_mem": _SWITCH, "no_contexts": _SWITCH, "number_of_apus": _INT,
            "number_of_input_aligners": _INT, "number_of_subclusters": _INT,
            "parallel_activation": _SWITCH, "resize_bilinear_streaming": Argument(ANY),
            "resources_allocation_strategy": _WORD, "use_16x4_sc": _SWITCH, "fps": _NUM,
        },
        loose=True, seen=("1.4", "5.2")
    ),
    "buffers": CommandSpec("none", (_LAYER, _LAYER, _INT, _ANY, _WORD), 3,
        loose=True, seen=("1.4", "5.2")),
    "defuse": CommandSpec(
        "needed", (_LAYER, _INT), 1, True,
        {"defuse_type": _WORD, "axis": _WORD, "splitter": _BOOL, "transpose": _BOOL},
        loose=True, seen=("1.4", "5.2")
    ),
    "defuse_block": CommandSpec("allowed", (_LAYER,), 1, True, {"defuse_count": _INT},
        loose=True, seen=("2.14", "5.2")),
    "context": CommandSpec("needed", (_LAYERS,), 1, loose=True, seen=("1.4", "5.2")),
    "place": CommandSpec("none", (_INT, _LAYERS), 2, loose=True, seen=("1.4", "5.2")),
    "shortcut": CommandSpec("needed", (_LAYER, _LAYERS), 2, loose=True, seen=("1.4", "5.2")),
    "portal": CommandSpec("needed", (_LAYER, _LAYERS), 2, loose=True, seen=("1.4", "2.9")),
    "l4_portal": CommandSpec("needed", (_LAYER, _LAYERS), 2, loose=True, seen=("1.4", "5.0")),
    "ddr": CommandSpec("needed", (_LAYER, _LAYERS), 2, loose=True, seen=("1.4", "5.0")),
    "concat": CommandSpec("needed", (_LAYERS, _LAYER), 2, loose=True, seen=("1.4", "5.2")),
    "merge": CommandSpec("needed", (_LAYER,), 2, True, loose=True, seen=("1.4", "5.0")),
    "join": CommandSpec("allowed", (_LAYER, _LAYERS), 1, keyword={"join_type": _WORD},
        loose=True, seen=("5.2", "5.2")),
    "bucket": CommandSpec("needed", (_LAYERS,), 1, loose=True, seen=("5.1", "5.2")),
    "mux_demux": CommandSpec("needed", (_LAYERS, _LAYERS), 2, loose=True, seen=("2.18", "5.2")),
    "shape_splitter": CommandSpec("needed", (_WORD, _LAYER, _LAYERS), 3,
        loose=True, seen=("2.13", "5.2")),
    "format_conversion": CommandSpec(
        "needed", (_LAYER, _ANY), 1, True,
        {"collapse": _BOOL, "input_windows": _NUMBERS, "output_windows": _NUMBERS},
        loose=True, seen=("1.4", "5.2")
    ),
    "output_layer": CommandSpec("needed", (_LAYER,), 1, keyword={"offdevice_layer": _WORD},
                                loose=True, seen=("5.2", "5.2")),
    "convert_to_dense": CommandSpec("allowed", (_LAYERS,), 1, True, loose=True,
                                    seen=("2.16", "5.0")),
    "feature_splitter": CommandSpec("needed", (_LAYER, _LAYERS), 2, loose=True,
                                    seen=("1.4", "2.5")),
    "optimize_buffers": CommandSpec("none", (_ANY,), 0, True, loose=True, seen=("1.4", "2.5")),
    "output_mux": CommandSpec("needed", (_LAYERS,), 1, True, loose=True, seen=("1.4", "2.2")),
    "remove_node": CommandSpec("none", (_LAYER,), 1, loose=True, seen=("2.13", "5.2")),
    "transpose_concat": CommandSpec("needed", (_LAYER,), 1, loose=True, seen=("2.13", "5.2")),
    "collapse": CommandSpec("allowed", (_LAYER,), 1, True, loose=True),
    "multi_layer": CommandSpec("allowed", (_LAYER,), 1, True, loose=True),
}  # fmt: skip

"""The commands of the model script language that the emulator knows, and their shapes.

From the vendor's own published scripts (facts: hailo.md 6.2, 6.3); a command or keyword that
appears in none of them is refused, as the vendor's parser refuses what it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """How a command may be written. ``keywords`` None means that any are taken."""

    least: int = 0
    most: int | None = None
    keywords: frozenset[str] | None = None
    needs_target: bool = False
    effect: bool = True


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KNOWN: dict[str, Shape] = {
    "normalization": Shape(2, 3, _words(""), needs_target=True),
    "input_conversion": Shape(2, 2, _words("emulator_support"), needs_target=True),
    "resize": Shape(
        1,
        1,
        _words("resize_shapes resize_method pixels_mode engine hw_layer_type"),
        needs_target=True,
    ),
    "change_output_activation": Shape(1, 2, _words("")),
    "nms_postprocess": Shape(
        0,
        2,
        _words(
            "meta_arch engine bbox_decoding_only classes nms_scores_th nms_iou_th image_dims "
            "max_proposals_per_class regression_length background_removal "
            "background_removal_index centers_scale_factor bbox_dimensions_scale_factor"
        ),
    ),
    "logits_layer": Shape(2, 3, _words("engine"), needs_target=True),
    "model_optimization_config": Shape(1, 1),
    "model_optimization_flavor": Shape(
        0, 0, _words("optimization_level compression_level batch_size")
    ),
    "quantization_param": Shape(
        1,
        1,
        _words(
            "precision_mode bias_mode quantization_groups signed_output force_range_in "
            "force_range_out force_range_preact max_elementwise_feed_repeat "
            "max_bias_feed_repeat null_channels_cutoff_factor output_encoding_vector "
            "gpu_policy weight_group_size activation_fit"
        ),
    ),
    "pre_quantization_optimization": Shape(1, 1),
    "post_quantization_optimization": Shape(1, 1),
}

#: Placement on the chip and run-time switches: read, recorded, nothing to place here.
PLACEMENT = _words(
    "allocator_param resources_param performance_param context_switch_param platform_param "
    "hef_param compilation_param network_group_param buffers buffer_calc_param defuse context "
    "place shortcut shortcut_portal portal l4_portal ddr inter_context_ddr mux_demux "
    "from_tf merge format_conversion feature_splitter output_multiplexer internal_context "
    "precision_split collapse cascade set_seed transpose reshape remove_node "
    "cluster strategy bucket parallelization ew_add_fuse conv_decompose precision_change "
    "share_input_layer shared_weights set_kv_cache_global_params set_input_mask_to_softmax "
    "global_average_pool_reduction print_builder_cmds optimize_buffers buffer split_input "
    "concat_outputs proposal_generator width_splitter spatial_splitter depth_to_space "
    "space_to_depth activation_replacement smart_softmax_stats convert_to_dense dense_to_conv "
    "output_layer input_layer const_input layer_split slice matmul_decomposition "
    "kernel_type number_of_subclusters edge_layer balanced"
)

"""The part of the HEF protobuf that we need, as descriptors made at run time.

Field numbers are facts of the public HailoRT sources (tag v5.2.0); names are ours. Built with
the descriptor API only, so the same code runs on protobuf 5, 6 and 7 and needs no compiler.
A field spec reads ``name:type=number``; ``*`` after the type means repeated, ``?`` explicit
presence, ``@group`` a oneof.

``mapping`` (field 3 of ``Hef``, most of the bytes of old files) is left out on purpose, and
so are the configuration steps of a context: ``wire.py`` takes them out before protobuf sees
the rest, and ``operations.py`` decodes them one by one. What connects the two are the
``spans`` fields, which no real file has.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Field of our own in ``Context`` and ``Preliminary``: the number of each operation.
SPANS_FIELD: Final = 50_000

MESSAGES: Final[Mapping[str, str]] = {
    "Hef": "header:Header=1 groups:Group*=2 features:Features=4 extensions:Extension*=5 "
    "optional_extensions:Extension*=6 resources:Resource*=7",
    "Resource": "offset:uint64=1 size:uint64=2 name:string=3 xxhash:uint64=4",
    "Features": "is_multi_context:bool=4",
    "Extension": "id:uint32=1 name:string=2",
    "Version": "major:uint32=1 minor:uint32=2 revision:uint32=3",
    "Header": "hw_arch:int32=1 timestamp:uint64=2 sdk_version_str:string=3 version:uint64=4 "
    "sdk_version:Version=5",
    "Layout": "bitmap:uint32=1",
    "PartialGroup": "group:Group=1 layout:Layout=2",
    "PartialCoreOp": "core_op:CoreOp=1 layout:Layout=2",
    "CoreOp": "metadata:GroupMetadata=1 preliminary:Preliminary=2 contexts:Context*=3 "
    "sorted_outputs:string*=4 fused:Fused=5 networks:string*=6 partials:PartialCoreOp*=7",
    "Group": "metadata:GroupMetadata=1 preliminary:Preliminary=2 contexts:Context*=3 "
    "sorted_outputs:string*=4 fused:Fused=5 networks:string*=6 partials:PartialGroup*=7 "
    "ops:Op*=8 pad_edges:PadEdge*=9 name:string=10 index:uint32=11",
    "GroupMetadata": "name:string=1 index:uint32=2 transposed:bool=3 bottleneck_fps:double=4 "
    "config_channels:uint32=5 latency:double=6 config_channel:ConfigChannel*=7 "
    "operations:uint64=8",
    "ConfigChannel": "index:uint32=1 engine:uint32=2",
    "Fused": "has_fused:bool=1 sorted_outputs:string*=2 layers:FusedLayer*=3",
    "FusedLayer": "layer:LayerInfo=1 defused_names:string*=2 nms:NmsInfo=3",
    "PadEdge": "src:uint32=1 dst:uint32=2",
    "Op": "name:string=1 input_pads:Pad*=2 output_pads:Pad*=3 core_op:CoreOp@op=4 nms:Nms@op=5 "
    "logits:Logits@op=6",
    "Pad": "index:uint32=1 name:string=2 order:int32=3 numeric:Numeric=5 "
    "tensor:TensorShape@shape=6 nms:PadNms@shape=7 type:int32=8",
    "TensorShape": "height:uint32=1 padded_height:uint32=2 width:uint32=3 padded_width:uint32=4 "
    "features:uint32=5 padded_features:uint32=6",
    "PadNms": "classes:uint32=1 max_boxes:uint32=2 bbox_size:uint32=3 division_factor:uint32=4",
    "Logits": "type:int32=1",
    "Nms": "score_threshold:double=1 iou_threshold:double=2 max_per_class:uint32=3 "
    "classes:uint32=4 background_removal:bool=5 background_index:uint32=6 "
    "yolo_nms_op:Yolo@family=7 yolox_nms_op:Yolox@family=8 ssd_nms_op:Ssd@family=9 "
    "iou_op:Iou@family=10 yolo_seg_op:YoloSeg@family=11 yolov8_nms_op:Yolov8@family=12 "
    "box_decoding_only:bool=13",
    "Yolo": "height:double=1 width:double=2 input_division_factor:uint32=3 decoders:YoloBox*=4",
    "YoloBox": "h:uint32*=2 w:uint32*=3 stride:uint32=4 pad:uint32=5",
    "Yolox": "height:double=1 width:double=2 decoders:YoloxBox*=3",
    "YoloxBox": "stride:uint32=1 reg:uint32=2 cls:uint32=3 obj:uint32=4",
    "Ssd": "height:double=1 width:double=2 centers_scale_factor:uint32=3 "
    "bbox_dimensions_scale_factor:uint32=4 ty:uint32=5 tx:uint32=6 th:uint32=7 tw:uint32=8 "
    "decoders:SsdBox*=9",
    "SsdBox": "h:float*=1 w:float*=2 reg:uint32=3 cls:uint32=4",
    "Iou": "",
    "YoloSeg": "height:double=1 width:double=2 decoders:YoloBox*=3 proto:SegProto=4 "
    "mask_threshold:double=5",
    "SegProto": "number:uint32=1 stride:uint32=2 layer:string=3",
    "Yolov8": "height:double=1 width:double=2 input_division_factor:uint32=3 "
    "decoders:Yolov8Box*=4 regression_length:uint32=5",
    "Yolov8Box": "stride:uint32=1 reg:uint32=2 cls:uint32=3",
    "Preliminary": f"spans:uint64*={SPANS_FIELD}",
    "Context": f"index:uint32=1 metadata:ContextMetadata=3 spans:uint64*={SPANS_FIELD}",
    "ContextMetadata": "name:string=1 layers:EdgeLayer*=2 sorted_outputs:string*=5",
    "EdgeLayer": "direction:int32=1 type:int32=2 info:LayerInfo@edge=3 mux:Mux@edge=4 "
    "switch:ContextSwitch=5 network_index:uint32=6 pad_index:uint32?=7 planes:Planes@edge=8",
    "LayerInfo": "name:string=1 base:Base=2 numeric:Numeric=3 hn_name:string=4 "
    "original_names:string*=5 transposed:bool=6",
    "Edge": "info:LayerInfo@edge=1 mux:Mux@edge=2 planes:Planes@edge=3",
    "Mux": "name:string=1 base:Base=2 data:MuxData=3 hn_name:string=4 predecessors:Edge*=5 "
    "original_names:string*=6",
    "MuxData": "count:uint32=1",
    "Planes": "name:string=1 format:int32=2 planes:Edge*=3 height:uint32=4 width:uint32=5 "
    "features:uint32=6",
    "ContextSwitch": "connection:int32=3 buffers:uint32=6 connected:Connected*=8 cache_id:int32=9",
    "Connected": "index:uint32=1 sys_index:uint32=3 engine:uint32=4",
    "BufferIndex": "index:uint32=1 cluster:uint32=2",
    "Base": "height:uint32=1 padded_height:uint32=2 width:uint32=3 padded_width:uint32=4 "
    "features:uint32=5 padded_features:uint32=6 format:uint32=7 sys_index:uint32=8 "
    "bytes_per_buffer:uint32=9 buffers_per_frame:uint32=10 additional:Additional=11 "
    "data_bytes:uint32=12 buffer_indices:BufferIndex*=13 host_argmax:bool=14 "
    "max_shmifo:uint32=15 engine:uint32=16",
    "Additional": "nms:NmsInfo=1",
    "NmsInfo": "type:uint32=1 classes:uint64=2 max_output:uint64=3 bbox_size:uint64=4 "
    "is_defused:bool=5 defuse:Defuse=6 division_factor:uint64=7 burst_size:uint32=8 "
    "burst_type:int32=9",
    "Defuse": "class_group:uint64=1 original_name:string=3",
    "Operation": "trigger:Trigger=1 actions:Action*=2",
    "Trigger": "lcu:Two@kind=2 none:Nothing@kind=3 all_sent:One@kind=4 all_received:One@kind=5 "
    "nms:Six@kind=6 dma_idle:One@kind=7",
    "Action": "write_data:Nothing@kind=2 ccw:Ccw@kind=3 write_compressed:Nothing@kind=4 "
    "enable_sequencer:Sequencer@kind=5 wait_for_sequencer:One@kind=6 disable_lcu:Two@kind=7 "
    "enable_lcu:EnableLcu@kind=8 none:Nothing@kind=9 allow_input:One@kind=10 "
    "wait_for_config:One@kind=11 debug:Debug@kind=12 enable_nms:EnableNms@kind=13 "
    "write_by_type:WriteByType@kind=14 switch_lcu:Two@kind=15 ccw_pointer:CcwPointer@kind=16 "
    "allow_config:One@kind=17 disable_data:Nothing@kind=18",
    "Nothing": "",
    "One": "first:uint32=1",
    "Two": "first:uint32=1 second:uint32=2",
    "Six": "first:uint32=1 second:uint32=2 third:uint32=3 fourth:uint32=4 fifth:uint32=5 "
    "sixth:uint32=6",
    "Ccw": "channel:uint32=2",
    "CcwPointer": "offset:uint64=1 size:uint32=2 channel:uint32=3",
    "Sequencer": "cluster:uint32=1 initial_l3:InitialL3=11",
    "InitialL3": "index:uint32=1 offset:uint32=2 included:bool=3",
    "EnableLcu": "lcu:uint32=1 cluster:uint32=2 done_address:uint32=3",
    "Debug": "sleep:Sleep@kind=2 halt:Nothing@kind=3",
    "Sleep": "microseconds:uint64=1",
    "EnableNms": "unit:uint32=1 network:uint32=2 classes:uint32=3 burst:uint32=4 division:uint32=5",
    "WriteByType": "address:uint64=1 type:int32=2 data:bytes=3 shift:uint32=6",
    "Numeric": "zero_point:float=1 scale:float=2 limit_min:float=3 limit_max:float=4 "
    "zero_points:double*=5 scales:double*=6",
}

#: Kinds of value: protobuf's type number, and whether repeated values may be packed.
_SCALARS: Final = {
    "double": 1,
    "float": 2,
    "uint64": 4,
    "int32": 5,
    "bool": 8,
    "string": 9,
    "bytes": 12,
    "uint32": 13,
}
_MESSAGE_TYPE: Final = 11


class FieldSpec:
    """One field of :data:`MESSAGES`, taken apart."""

    __slots__ = ("name", "number", "oneof", "optional", "repeated", "type")

    def __init__(self, text: str) -> None:
        name, rest = text.split(":")
        kind, number = rest.split("=")
        kind, _, self.oneof = kind.partition("@")
        self.name = name
        self.number = int(number)
        self.repeated = kind.endswith("*")
        self.optional = kind.endswith("?")
        self.type = kind.rstrip("*?")

    @property
    def is_message(self) -> bool:
        """True when the value is a message of ours."""
        return self.type not in _SCALARS

    @property
    def is_text(self) -> bool:
        """True when the value is a string."""
        return self.type == "string"


@cache
def fields(message: str) -> Mapping[int, FieldSpec]:
    """Return the fields of ``message`` by number."""
    return {spec.number: spec for spec in map(FieldSpec, MESSAGES[message].split())}


@cache
def message_class(message: str = "Hef") -> Any:
    """Return the generated class of ``message`` (a protobuf ``Message`` type)."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"hefsmith.{message}"))


@cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto(
        name="hefsmith/hef.proto", package="hefsmith", syntax="proto3"
    )
    for name in MESSAGES:
        _describe(file.message_type.add(name=name), name)
    # A pool of our own: the vendor's Python packages may register their schema in the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _describe(message: Any, name: str) -> None:
    specs = list(fields(name).values())
    groups = list(dict.fromkeys(spec.oneof for spec in specs if spec.oneof))
    # protobuf wants the made-up oneofs of optional fields after the real ones
    groups += [f"_{spec.name}" for spec in specs if spec.optional]
    for group in groups:
        message.oneof_decl.add(name=group)
    for spec in specs:
        field = message.field.add(
            name=spec.name, number=spec.number, label=3 if spec.repeated else 1
        )
        if spec.is_message:
            field.type, field.type_name = _MESSAGE_TYPE, f".hefsmith.{spec.type}"
        else:
            field.type = _SCALARS[spec.type]
        if spec.optional:
            field.proto3_optional = True
            field.oneof_index = groups.index(f"_{spec.name}")
        elif spec.oneof:
            field.oneof_index = groups.index(spec.oneof)

"""Notes what a log shows that matters only together with something else of it.

A card of one line and a driver of the other, a node that is missing and made later: each alone is
nothing. What follows from them says :mod:`orchestrator.diagnose.rules`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from orchestrator.diagnose import kernels
from orchestrator.diagnose.kernels import Kernels
from orchestrator.diagnose.pictures import colours, scaling
from orchestrator.diagnose.pictures.colours import Colours
from orchestrator.diagnose.pictures.scaling import Scaling

#: An 8-bit tensor cannot have a zero point above this.
HIGHEST_8BIT_ZERO_POINT = 255

_COMMAND = re.compile(r"\bhailo(?: |\.)(optimize|compiler)\b(?P<rest>.*)")
_SCRIPTED = re.compile(r"--model-script|--auto-model-script|loading model script commands")
_NORMALIZATION = re.compile(r"=\s*normalization\(\s*\[[^\]]*\]\s*,\s*\[\s*(\d+(?:\.\d+)?)")
#: Code of a post that scales pictures, the function it stands in, and what a calibration set is
#: made with.
_ZERO_POINT = re.compile(r"(?:qp_zp|zero[ _-]?point)\W{1,4}(\d{3,6})")
_PROMPT = re.compile(r"(?:^|[\s(])(?P<user>[^\s@(]*)@(?P<host>\S*):(?P<cwd>[/~][\w./-]*) ?[$#]")
_UINT8 = re.compile(r"uint8")
_OLD_CARD = re.compile(
    r"\b1e60:2864\b|\bco-processor: hailo technologies ltd\.? hailo-8 ai processor"
)
_NEW_DRIVER = re.compile(
    r"hailo1x: (?:init module|hailo|driver)|/drivers/hailo1x\b"
    r"|\bhailo1x_pci: loading out-of-tree module|^hailo1x_pci \d+ \d+"
)
#: The driver of line 5.x got every window of the card's memory, and then does not take it: it is of
#: another kind. Where it gives another reason in between, that one counts.
_STEP = re.compile(r"\bhailo1x \S+ probing: (?P<step>mapped bar|failed init pcie resources)?")
#: A card of line 5.x that is there (its node, its driver at work), and software of line 4.x.
_NEW_CARD = re.compile(
    r"/dev/h1x-\d+\s*$|^hailo1x_pci \d+|\b1e60:45c4\b|device architecture: hailo1[05]"
    r"|\bco-processor: hailo technologies ltd\.? hailo-10h"
)
#: The module of line 4.x in `lsmod`; where both are loaded the other one shows no card of 5.x.
_OLD_MODULE = re.compile(r"^hailo_pci \d+ \d+")
_OLD_LIBRARY = re.compile(
    r"\blibhailort\.so\.4\.|\bhailo-tappas-core\s+3\.|\b(?:python3-)?hailort\s+4\.\d+"
    # Its own number says nothing: it wants HailoRT of line 4.x whatever it is.
    r"|^ii hailo-all\b"
)
#: A line of the list of devices that an LXC container may use, and the card's node in `ls -l`.
_LXC_ALLOWS = re.compile(
    r"^lxc\.cgroup2?\.devices\.allow\W+(?:a\b|[ac]\s\*|c\s(?P<major>\d+):)"
    r"|^dev\d+:\s/?dev/(?:hailo|h1x)"
)
#: Numbers of what else is passed on: terminals, USB, sound, cameras, graphics.
_OF_OTHERS = frozenset(
    {"1", "4", "5", "7", "10", "13", "29", "81", "116", "136", "166", "180", "188", "189", "195"}
    | {"226"}
)
_NODE = re.compile(r"^c[rwx-]{9}\S?\s.*?\s(?P<major>\d+),\s\d+\s.*/dev/(?:hailo\d|h1x-\d)\b")
_LOW_VOLTAGE = re.compile(r"under-?voltage detected")
_CARD_LOST = re.compile(
    r"hailo\S* .{0,60}(?:device disconnected|is not responding|dropped off)"
    r"|device disconnected while|hailo\S* .{0,40}card .{0,20}(?:removed|gone)"
)
#: Code of the old API, which a Hailo-10H does not have.
_OLD_API = re.compile(
    r"\binfervstreams\b|configureparams\.create_from_hef|create_configure_params"
    r"|(?:vdevice|vdev|target|device)\.configure\("
)
#: A program of the user's that says it is done, and a crash.
_DONE = re.compile(
    r"^\W*(?:(?:all )?done|finished|completed|bye|exiting|cleanup (?:done|complete\w*)"
    r"|(?:inference|processing|application) (?:is )?(?:done|finished|completed))\b"
)
_CRASH = re.compile(r"^(?:segmentation fault|aborted|bus error|double free|free\(\): )")
#: The simplifier's turn comes, and a step that it, or the export, ended with.
_SIMPLIFIES = re.compile(
    r"\b(?:onnx: )?(?:simplifying|slimming) with onnx-?(?:sim|slim)\w*|^simplifying\W*$"
    r"|\bgenerated onnx model named \S+"
)
_EXPORTING = re.compile(r"^onnx: starting export with\b")
#: A shell asks for the next command.
_PROMPTED = re.compile(r"^(?:\([\w.-]+\) ?)?(?:ps )?(?:[a-z]:\\[^>]*>|\S+@\S+:\S*[$#])\s*$")
_EXPORTED = re.compile(r"export (?:success|complete|failure)|simplifier failure|[$#] \S|^finish!")
#: TensorFlow has no GPU and goes on; somebody asks why.
_WITHOUT_GPU = re.compile(
    r"could not find cuda drivers on your machine|skipping registering gpu devices"
    r"|\bgpus?(?: available)?:? (?:\[\]|0\s*$)|list_physical_devices\(gpu\)\)?\s*(?:\[\]|$)"
)
_NEGATED = r"(?:not|cannot|can ?not|unable to|fails? to|failed to|without|never|no)"
_ASKS_GPU = re.compile(
    rf"\b{_NEGATED} (?:\w+ ){{0,4}}?(?:gpus?|cuda)\b"
    rf"|\b(?:gpus?|cuda)\b(?: \w+){{0,4}}? {_NEGATED} (?:\w+ )?"
    r"(?:use|found|find|detect|see|recogni[sz]|work|available|visible|list)\w*"
)
_OF_TENSORFLOW = re.compile(r"\.(?:cc|py):\d+\]|^\W*(?:warning|info|error|w|i|e)\b[]: ]")
#: The card's node is missing, the driver makes it; a new start of the machine, or somebody's hand.
_NODE_MISSING = re.compile(
    r"(?:failed to open device file|no such file .{0,20}) ?/dev/(?:hailo|h1x)\S* with error 2\b"
)
_NODE_MADE = re.compile(r"\badded board \S+ /dev/(?:hailo|h1x)")
_BETWEEN = re.compile(r"\blinux version \d|^-- (?:re)?boot\b|modprobe|insmod|\bdkms\b|\bapt\b")
#: The kernel that runs, as `uname` and the kernel itself say it, and kernels that have a driver.
_KERNEL = re.compile(
    r"^(?:linux \S+ |linux version |\S*\bkernel(?: version)?: )?(?P<kernel>\d+\.\d+\.\d+[\w.+-]*)"
    r"(?=$| #\d| \()"
)
_ASKED_KERNEL = re.compile(r"\buname -r\b")
_DRIVER_OF = re.compile(
    r"/lib/modules/(?P<kernel>[^/\s*]+)/\S*\bhailo\w*\.ko"
    r"|^hailo\w*[/,] ?[\d.]+, (?P<built>\d[^\s,]+), \w+: installed"
)
#: The driver's source, as DKMS knows it that has built it for no kernel yet.
_NOT_BUILT = re.compile(r"^hailo\w*[/,] ?[\d.]+: (?:added|built)\b")
#: The card or its driver is missed.
_MISSED = re.compile(
    r"\bhailo devices not found|\bno hailo device|\bno pcie devices|\bnot enough free devices"
    r"|/dev/(?:hailo|h1x)\S* with error 2\b|\bmodule hailo\w* not found"
)
#: A driver of the card that is at work, whatever it was built for.
_LOADED = re.compile(r"^hailo(?:1x)?_pci \d+ \d+|hailo\w*: init module|\bhailo \S+: probing")
#: A camera that is not found, and is when root asks; and a libcamera built from its own sources.
_NO_CAMERA = re.compile(r"\bno cameras? available\b")
_ASKS_CAMERA = re.compile(
    r"(?P<root>\bsudo (?:-\S+ )?)?\b(?:rpicam|libcamera)-(?:hello|still|vid|jpeg)\b"
)
_CAMERAS = re.compile(r"^available cameras\b")
_UPSTREAM = re.compile(r"\bgit clone \S+(?:git\.libcamera\.org|/libcamera-org)/libcamera")
#: All that :class:`Scene` looks for.
PATTERNS = (
    *scaling.PATTERNS, *colours.PATTERNS, *kernels.PATTERNS,
    _PROMPT, _COMMAND, _NORMALIZATION, _ZERO_POINT, _UINT8, _OLD_CARD, _NEW_DRIVER, _STEP,
    _NEW_CARD, _OLD_LIBRARY, _OLD_MODULE, _LOW_VOLTAGE, _CARD_LOST, _OLD_API, _DONE, _CRASH,
    _LXC_ALLOWS, _NODE,
    _NODE_MISSING, _NODE_MADE, _BETWEEN, _KERNEL, _ASKED_KERNEL,
    _DRIVER_OF, _NOT_BUILT, _MISSED, _LOADED, _SIMPLIFIES, _EXPORTED, _WITHOUT_GPU, _ASKS_GPU,
    _EXPORTING, _PROMPTED,
    _NO_CAMERA, _ASKS_CAMERA, _CAMERAS, _UPSTREAM,
)  # fmt: skip


def _numbers(release: str) -> list[int]:
    """Return the numbers in the release of a kernel, which order releases of one kind."""
    return [int(one) for one in re.findall(r"\d+", release)]


@dataclass
class Scene:
    """Things that matter only together with others."""

    optimized_plain: bool = False
    compiled_scripted: bool = False
    script_divides: bool = False
    #: What the code of the post does to pictures.
    scaling: Scaling = field(default_factory=Scaling)
    colours: Colours = field(default_factory=Colours)
    #: The kernel that runs, and those that have modules.
    kernels: Kernels = field(default_factory=Kernels)
    cwd: str | None = None
    #: The machine at whose prompt the log is, and at which each of some things was shown last.
    host: str = ""
    shown_at: dict[str, str] = field(default_factory=dict)
    wide_zero_point: int | None = None
    uint8: bool = False
    #: Lines that show a card of line 4.x, and a driver of line 5.x that started.
    old_card: bool = False
    new_driver: str | None = None
    #: Its last step was to map a window; what it said after that.
    mapped: bool = False
    refused: str | None = None
    #: The same the other way round: a card of line 5.x, and software of line 4.x.
    new_card: str | None = None
    old_library: bool = False
    old_module: bool = False
    #: Too little voltage, and a card that went away after it.
    low_voltage: str | None = None
    lost_power: str | None = None
    #: The numbers of devices that an LXC container may use, and those that the card's node has.
    lxc_allows: set[str] = field(default_factory=set)
    node_has: set[str] = field(default_factory=set)
    #: A line of the old API (VStreams).
    old_api: str | None = None
    #: A crash right after the program said that it is done.
    done: bool = False
    crashed_at_end: str | None = None
    #: A crash in the simplifier of ONNX models.
    simplifies: bool = False
    crashed_simplifying: str | None = None
    #: The line with which an export began, and the same when a prompt followed at once.
    exporting: str | None = None
    gone_exporting: str | None = None
    #: TensorFlow's line that it works without a GPU, and whether somebody asks for one.
    without_gpu: str | None = None
    asks_gpu: bool = False
    #: The node was missing, and the driver made it later in the same start of the machine.
    node_missing: str | None = None
    too_early: str | None = None
    #: The kernel that runs, those that have a driver of the card, and whether `uname` was asked.
    kernel: str | None = None
    driver_of: set[str] = field(default_factory=set)
    asked_kernel: bool = False
    driver_loaded: bool = False
    not_built: str | None = None
    #: A line that says that there is no camera, the same where root found one, and libcamera.org's
    #: sources.
    no_camera: str | None = None
    asked_as_root: bool = False
    camera_of_root: str | None = None
    upstream: bool = False
    names: dict[str, str] = field(default_factory=dict)

    @property
    def card_of_line_5(self) -> str | None:
        """The line that shows a card of line 5.x; with both modules loaded, theirs does not."""
        by_module = (self.new_card or "").startswith("hailo1x_pci ")
        if (by_module and self.old_module) or self._apart("missed", "card"):
            return None
        return self.new_card

    def _apart(self, *things: str) -> bool:
        """Tell whether ``things`` were shown at the prompts of different machines."""
        return len({self.shown_at.get(one, "") for one in things} - {""}) > 1

    @property
    def waits(self) -> bool:
        """Whether the next line may go on with code for pictures, or be a command's answer."""
        return self.scaling.waits or self.colours.waits or self.kernels.waits

    def feed(self, folded: str) -> None:
        """Take in one folded line."""
        lower = folded.lower()
        if "@" in lower:
            prompt = _PROMPT.search(lower)
            if prompt:
                self.cwd = prompt["cwd"]
                # Root may be that of a container, which sees the card and kernel of its host.
                self.host = "" if prompt["user"] == "root" else prompt["host"]
        if "hailo" in lower:
            command = _COMMAND.search(lower)
            if command and not re.search(r"(?:^|\s)(?:-h|--help)\b", command["rest"]):
                scripted = _SCRIPTED.search(command["rest"]) is not None
                if command[1] == "optimize":
                    self.optimized_plain = not scripted
                elif scripted:
                    self.compiled_scripted = True
        if "normalization(" in lower:
            divisor = _NORMALIZATION.search(lower)
            if divisor and float(divisor[1]) > 2 and not lower.lstrip().startswith("#"):
                self.script_divides = True
        self.scaling.feed(folded, lower)
        self.colours.feed(folded, lower)
        if "zp" in lower or "zero" in lower:
            point = _ZERO_POINT.search(lower)
            if point and int(point[1]) > HIGHEST_8BIT_ZERO_POINT:
                self.wide_zero_point = int(point[1])
        if _UINT8.search(lower):
            self.uint8 = True
        self._feed_end(folded, lower)
        self._feed_device(folded, lower)
        self._feed_node(folded, lower)
        self._feed_camera(folded, lower)
        self._feed_kernel(folded, lower)
        self.kernels.feed(lower, self.host)

    def feed_shown(self, lower: str) -> None:
        """Take in one line of a file that is only shown, as a container's configuration."""
        if allows := _LXC_ALLOWS.match(lower):
            self.lxc_allows.add(allows["major"] or "*")

    def _feed_node(self, folded: str, lower: str) -> None:
        """Note that the card's node was missing, and was made later in the same start; and its
        number, which an LXC container must be allowed to use."""
        self.feed_shown(lower)
        if node := _NODE.match(lower):
            self.node_has.add(node["major"])
        if _BETWEEN.search(lower):
            self.node_missing = None
        if _NODE_MISSING.search(lower):
            self.node_missing = self.node_missing or folded
        if self.node_missing and _NODE_MADE.search(lower):
            self.too_early = self.node_missing

    def _feed_camera(self, folded: str, lower: str) -> None:
        """Note that a camera is found by root alone, and whose libcamera was built."""
        asked = _ASKS_CAMERA.search(lower)
        if asked:
            self.asked_as_root = asked["root"] is not None
        if _NO_CAMERA.search(lower) and not self.asked_as_root:
            self.no_camera = folded
        if self.no_camera and self.asked_as_root and _CAMERAS.search(lower):
            self.camera_of_root = self.no_camera
        if _UPSTREAM.search(lower):
            self.upstream = True

    def _feed_kernel(self, folded: str, lower: str) -> None:
        """Note which kernel runs, and for which ones a driver of the card was built."""
        shown = _KERNEL.search(lower)
        # A bare number is a kernel's where `uname` was asked, and not a release of HailoRT.
        asked = self.asked_kernel and re.search(r"[-+]", lower)
        if shown and (asked or shown.end("kernel") < len(lower)):
            self.kernel = shown["kernel"]
            self.shown_at["kernel"] = self.host
        self.asked_kernel = _ASKED_KERNEL.search(lower) is not None
        if _LOADED.search(lower):
            self.driver_loaded = True
        if _NOT_BUILT.search(lower):
            self.not_built = folded
            self.shown_at["source"] = self.host
        for one in _DRIVER_OF.finditer(lower):
            self.driver_of.add(one["kernel"] or one["built"])
            self.shown_at["driver"] = self.host
        if _MISSED.search(lower):
            self.shown_at["missed"] = self.host

    @property
    def driver_of_another(self) -> str | None:
        """What shows that the driver is there for other kernels than the one that runs."""
        if self.driver_loaded or not self.driver_of or self.kernel in {None, *self.driver_of}:
            return None
        if self._apart("missed", "kernel", "driver"):
            return None
        return f"kernel {self.kernel} runs, the driver is for {', '.join(sorted(self.driver_of))}"

    @property
    def waits_for_restart(self) -> bool:
        """Whether each kernel that the driver is for is a newer one of the kind that runs."""
        if self.kernel is None or not self.driver_of:
            return False
        release, _, kind = self.kernel.rpartition("-")
        others = [one.rpartition("-") for one in self.driver_of]
        return bool(release) and all(
            other == kind and _numbers(newer) > _numbers(release) for newer, _, other in others
        )

    @property
    def not_allowed(self) -> str | None:
        """What shows that an LXC container's list has not the number of the card's node."""
        others = self.lxc_allows - _OF_OTHERS
        allowed = self.lxc_allows & {"*", *self.node_has}
        if not others or allowed or len(self.node_has) != 1:
            return None
        allows = ", ".join(sorted(others, key=int))
        return f"the node has {next(iter(self.node_has))}, the list {allows}"

    @property
    def driver_of_none(self) -> str | None:
        """What shows that the driver's source is there, and was built for no kernel."""
        if self.driver_loaded or self.driver_of or self._apart("missed", "source"):
            return None
        return self.not_built

    @property
    def may_have_its_own(self) -> bool:
        """Whether the kernel that runs is not known, or is one of a Pi, which may have a driver."""
        return self.kernel is None or "rpi" in self.kernel or "rpt" in self.kernel

    def _feed_end(self, folded: str, lower: str) -> None:
        """Note a crash at a program's end or in a simplifier, and a GPU that is missed."""
        if not lower.strip():
            return
        if self.done and _CRASH.search(lower):
            self.crashed_at_end = folded
        self.done = _DONE.search(lower) is not None
        if self.simplifies and _CRASH.search(lower):
            self.crashed_simplifying = folded
        if _SIMPLIFIES.search(lower):
            self.simplifies = True
        elif _EXPORTED.search(lower):
            self.simplifies = False
        if self.exporting and _PROMPTED.search(lower):
            self.gone_exporting = self.exporting
        elif _EXPORTING.search(lower):
            self.exporting = folded
        elif _EXPORTED.search(lower):
            self.exporting = None
        if _WITHOUT_GPU.search(lower):
            self.without_gpu = folded
        elif _ASKS_GPU.search(lower) and not _OF_TENSORFLOW.search(lower):
            self.asks_gpu = True

    def _feed_device(self, folded: str, lower: str) -> None:
        """Note what a line shows of card, driver, library and supply."""
        if _OLD_CARD.search(lower):
            self.old_card = True
        if _NEW_DRIVER.search(lower):
            self.new_driver = folded
        step = _STEP.search(lower)
        if step:
            if self.mapped and step["step"] == "failed init pcie resources":
                self.refused = folded
            self.mapped = step["step"] == "mapped bar"
        if _NEW_CARD.search(lower):
            self.new_card = folded
            self.shown_at["card"] = self.host
        if _OLD_MODULE.search(lower):
            self.old_module = True
        # "rc" is what dpkg keeps of a package that was removed.
        if _OLD_LIBRARY.search(lower) and not lower.startswith("rc "):
            self.old_library = True
        if _OLD_API.search(lower):
            self.old_api = folded
        if _LOW_VOLTAGE.search(lower):
            self.low_voltage = folded
        if self.low_voltage and _CARD_LOST.search(lower):
            self.lost_power = self.low_voltage

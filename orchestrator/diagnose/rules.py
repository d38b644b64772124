"""What a pattern alone cannot tell: comparisons, and findings over a whole run.

Many of the worst failures print nothing that is wrong by itself. "Using dataset with 64
entries" is fine when 64 images were given and a loss when 1339 were. These rules compare.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.device.address import SSH_PORT, device_argument, host_label, ssh_target
from orchestrator.device.base import DeviceSpec
from orchestrator.diagnose.catalogue import Entry, load_catalogue, meaning_of
from orchestrator.diagnose.finding import Asked, Diagnosis
from orchestrator.diagnose.ranking import EXPLAINED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.diagnose.observed import Observed

#: The SDK's own calibration set size when nobody asks for another (user_pains.md C05).
DEFAULT_CALIBSET = 64
#: Below this signal-to-noise ratio in dB an output holds little but noise.
USELESS_SNR = 5.0
#: An 8-bit tensor cannot have a zero point above this.
HIGHEST_8BIT_ZERO_POINT = 255

_PLACEHOLDER = re.compile(r"\{([a-z_0-9]+)(?:\?([^{}|]*))?(?:\|([^{}]*))?\}")
#: What may stand in a command as it is.
_SAFE = re.compile(r"(?:-p \d+ )?(?!-)(?:[\w@%+=:,./~-]|'[\w@:./\[\]%-]+')+\Z")
#: Chips at the beginning of a text, several with commas between them.
_CHIPS = re.compile(r"hailo\d+[lhmr]?(?:,? hailo\d+[lhmr]?)*")
#: Stands for a brace out of a log; no log has it.
_BRACE = "\0"
_NUMBERS = re.compile(r"\d+")
_COMMAND = re.compile(r"\bhailo(?: |\.)(optimize|compiler)\b(?P<rest>.*)")
_SCRIPTED = re.compile(r"--model-script|--auto-model-script|loading model script commands")
_NORMALIZATION = re.compile(r"=\s*normalization\(\s*\[[^\]]*\]\s*,\s*\[\s*(\d+(?:\.\d+)?)")
_UNIT_RANGE = re.compile(r"\(\s*-?[01](?:\.\d+)?\s*,\s*1(?:\.0*)?\s*\)")
_ZERO_POINT = re.compile(r"(?:qp_zp|zero[ _-]?point)\W{1,4}(\d{3,6})")
_PROMPT = re.compile(r"(?:^|[\s(])\S*@\S*:(?P<cwd>[/~][\w./-]*)[$#]")
_UINT8 = re.compile(r"uint8")
_OLD_CARD = re.compile(r"\b1e60:2864\b")
_NEW_DRIVER = re.compile(r"hailo1x: (?:init module|hailo|driver)|/drivers/hailo1x\b")
#: A card of line 5.x that is there (its node, its driver at work), and software of line 4.x.
_NEW_CARD = re.compile(
    r"/dev/h1x-\d+\s*$|^hailo1x_pci \d+|\b1e60:45c4\b|device architecture: hailo1[05]"
)
#: The module of line 4.x in `lsmod`; where both are loaded the other one shows no card of 5.x.
_OLD_MODULE = re.compile(r"^hailo_pci \d+ \d+")
_OLD_LIBRARY = re.compile(
    r"\blibhailort\.so\.4\.|\bhailo-tappas-core\s+3\.|\b(?:python3-)?hailort\s+4\.\d+"
    # Its own number says nothing: it wants HailoRT of line 4.x whatever it is.
    r"|^ii hailo-all\b"
)
_LOW_VOLTAGE = re.compile(r"under-?voltage detected")
_CARD_LOST = re.compile(
    r"hailo\S* .{0,60}(?:device disconnected|is not responding|dropped off)"
    r"|device disconnected while|hailo\S* .{0,40}card .{0,20}(?:removed|gone)"
)
#: A distribution of WSL 1: its row in `wsl -l -v`, its kernel's name, or what somebody says of it.
_WSL_1 = re.compile(
    r"^\W{0,3}(?P<name>[\w.-]+) +(?:running|stopped) +(?P<version>[12])\W*$"
    r"|\b4\.4\.0-\d+-microsoft\b"
    r"|\b(?:im|i am|we are) (?:using|running|on) "
    r"(?:windows (?:\d+ )?(?:with|and|under|in) )?wsl ?1\b(?!\.)"
)
#: The driver of a 10H names the node that it made; somebody asks for the other name.
_OTHER_NODE = re.compile(r"\bdevice created at /dev/h1x-?\d|\badded board \S+ /dev/h1x-?\d")
_OLD_NODE = re.compile(r"/dev/hailo\d")
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
    r"/lib/modules/(?P<kernel>[^/\s]+)/\S*\bhailo\w*\.ko"
    r"|^hailo\w*[/,] ?[\d.]+, (?P<built>\d[^\s,]+), \w+: installed"
)
#: A driver of the card that is at work, whatever it was built for.
_LOADED = re.compile(r"^hailo(?:1x)?_pci \d+ \d+|hailo\w*: init module|\bhailo \S+: probing")
#: All that :class:`Scene` looks for.
PATTERNS = (
    _PROMPT, _COMMAND, _NORMALIZATION, _ZERO_POINT, _UINT8, _OLD_CARD, _NEW_DRIVER, _NEW_CARD,
    _OLD_LIBRARY, _OLD_MODULE, _LOW_VOLTAGE, _CARD_LOST, _WSL_1, _OLD_API, _DONE, _CRASH,
    _NODE_MISSING, _NODE_MADE, _BETWEEN, _OTHER_NODE, _OLD_NODE, _KERNEL, _ASKED_KERNEL,
    _DRIVER_OF, _LOADED,
)  # fmt: skip


@dataclass
class Scene:
    """Things that matter only together with others."""

    optimized_plain: bool = False
    compiled_scripted: bool = False
    script_divides: bool = False
    cwd: str | None = None
    wide_zero_point: int | None = None
    uint8: bool = False
    #: Lines that show a card of line 4.x, and a driver of line 5.x that started.
    old_card: bool = False
    new_driver: str | None = None
    #: The same the other way round: a card of line 5.x, and software of line 4.x.
    new_card: str | None = None
    old_library: bool = False
    old_module: bool = False
    #: Too little voltage, and a card that went away after it.
    low_voltage: str | None = None
    lost_power: str | None = None
    #: What shows that the log is of a distribution of WSL 1, and that one of WSL 2 is there, too.
    wsl_1: str | None = None
    wsl_2: bool = False
    #: A line of the old API (VStreams).
    old_api: str | None = None
    #: A crash right after the program said that it is done.
    done: bool = False
    crashed_at_end: str | None = None
    #: The node was missing, and the driver made it later in the same start of the machine.
    node_missing: str | None = None
    too_early: str | None = None
    #: The driver made the node under the newer name, and the older one is spoken of.
    other_node: str | None = None
    old_node: bool = False
    #: The kernel that runs, those that have a driver of the card, and whether `uname` was asked.
    kernel: str | None = None
    driver_of: set[str] = field(default_factory=set)
    asked_kernel: bool = False
    driver_loaded: bool = False
    names: dict[str, str] = field(default_factory=dict)

    @property
    def card_of_line_5(self) -> str | None:
        """The line that shows a card of line 5.x; with both modules loaded, theirs does not."""
        by_module = (self.new_card or "").startswith("hailo1x_pci ")
        return None if by_module and self.old_module else self.new_card

    def feed(self, folded: str) -> None:
        """Take in one folded line."""
        lower = folded.lower()
        if "@" in lower:
            prompt = _PROMPT.search(lower)
            if prompt:
                self.cwd = prompt["cwd"]
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
            if divisor and float(divisor[1]) > 2:
                self.script_divides = True
        if "zp" in lower or "zero" in lower:
            point = _ZERO_POINT.search(lower)
            if point and int(point[1]) > HIGHEST_8BIT_ZERO_POINT:
                self.wide_zero_point = int(point[1])
        if _UINT8.search(lower):
            self.uint8 = True
        shown = _WSL_1.search(lower)
        if shown and shown["version"] == "2":
            self.wsl_2 = True
        elif shown:
            self.wsl_1 = folded
        self._feed_end(folded, lower)
        self._feed_device(folded, lower)
        self._feed_node(folded, lower)
        self._feed_kernel(lower)

    def _feed_node(self, folded: str, lower: str) -> None:
        """Note that the card's node was missing, and was made later in the same start."""
        if _BETWEEN.search(lower):
            self.node_missing = None
        if _NODE_MISSING.search(lower):
            self.node_missing = self.node_missing or folded
        if self.node_missing and _NODE_MADE.search(lower):
            self.too_early = self.node_missing
        if _OTHER_NODE.search(lower):
            self.other_node = folded
        elif _OLD_NODE.search(lower):
            self.old_node = True

    def _feed_kernel(self, lower: str) -> None:
        """Note which kernel runs, and for which ones a driver of the card was built."""
        shown = _KERNEL.search(lower)
        # A bare number is a kernel's where `uname` was asked, and not a release of HailoRT.
        asked = self.asked_kernel and re.search(r"[-+]", lower)
        if shown and (asked or shown.end("kernel") < len(lower)):
            self.kernel = shown["kernel"]
        self.asked_kernel = _ASKED_KERNEL.search(lower) is not None
        if _LOADED.search(lower):
            self.driver_loaded = True
        for one in _DRIVER_OF.finditer(lower):
            self.driver_of.add(one["kernel"] or one["built"])

    @property
    def driver_of_another(self) -> str | None:
        """What shows that the driver is there for other kernels than the one that runs."""
        if self.driver_loaded or not self.driver_of or self.kernel in {None, *self.driver_of}:
            return None
        return f"kernel {self.kernel} runs, the driver is for {', '.join(sorted(self.driver_of))}"

    def _feed_end(self, folded: str, lower: str) -> None:
        """Note a crash right after a program's last words."""
        if not lower.strip():
            return
        if self.done and _CRASH.search(lower):
            self.crashed_at_end = folded
        self.done = _DONE.search(lower) is not None

    def _feed_device(self, folded: str, lower: str) -> None:
        """Note what a line shows of card, driver, library and supply."""
        if _OLD_CARD.search(lower):
            self.old_card = True
        if _NEW_DRIVER.search(lower):
            self.new_driver = folded
        if _NEW_CARD.search(lower):
            self.new_card = folded
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


def _shape(text: str | None) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBERS.findall(text or ""))


def _is_channels_first(captured: Mapping[str, str]) -> bool:
    """Tell whether the data shape is the network's with the channels moved to the front."""
    data, wanted = _shape(captured.get("data")), _shape(captured.get("wanted"))
    if len(data) < 3:
        return False
    data = data[-3:]
    if len(wanted) >= 3:
        height, width, channels = wanted[-3:]
        return data == (channels, height, width) and data != (height, width, channels)
    return data[0] in {1, 3, 4} and min(data[1:]) > 4


def _is_same(captured: Mapping[str, str]) -> bool:
    """Tell whether the data has the network's shape, but for the number of images."""
    data, wanted = _shape(captured.get("data")), _shape(captured.get("wanted"))
    return bool(wanted) and data[-len(wanted) :] == wanted


def _other_chip(captured: Mapping[str, str]) -> bool:
    """Tell whether the chip of the file is another than the device's, as far as both are named."""
    device = captured.get("device", "").lower().replace("-", "")
    built = _CHIPS.match(captured.get("hefarch", "").lower().replace("-", ""))
    return not device or built is None or device not in re.split(r"[, ]+", built[0])


def holds(rule: str | None, captured: Mapping[str, str], seen: Observed, asked: Asked) -> bool:
    """Tell whether a matched entry really applies, given what else is known."""
    if rule == "calibset":
        used = int(captured["n"].replace(",", ""))
        given = seen.images_given if seen.images_given is not None else asked.images
        return used < given if given is not None else used == DEFAULT_CALIBSET
    if rule == "channels-first":
        return _is_channels_first(captured)
    if rule == "not-channels-first":
        return not _is_channels_first(captured) and not _is_same(captured)
    if rule == "other-chip":
        return _other_chip(captured)
    if rule == "few-images":
        return int(captured["n"].replace(",", "")) < DEFAULT_CALIBSET
    if rule == "nonzero":
        return captured.get("n", "1") not in {"0", "00"}
    return True


def words(seen: Observed, asked: Asked) -> dict[str, str]:
    """Return what remedies may speak of, from the run itself."""
    given = seen.images_given if seen.images_given is not None else asked.images
    values: dict[str, object] = {
        "images_given": given,
        "images_used": seen.images_used,
        "level_run": seen.level_run,
        "level_asked": asked.level if asked.level is not None else seen.level_asked,
        "contexts": seen.contexts,
        "arch": seen.arch,
        "hef": seen.hef,
    }
    values.update(seen.versions)
    return {name: str(value) for name, value in values.items() if value is not None}


def _fill_text(text: str, known: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        name, with_it, without = match.groups()
        value = known.get(name)
        # A command is copied into a shell: what a log holds must not become a command of its own.
        if value and (match.string.count("`", 0, match.start()) % 2 == 0 or _SAFE.match(value)):
            # What looks like a placeholder in a log is none.
            value = value.replace("{", _BRACE)
            return value if with_it is None else with_it.replace("%", value, 1)
        return without or ""

    # A placeholder may hold another one, and that a third.
    for _ in range(3):
        text = _PLACEHOLDER.sub(replacement, text)
    return text.replace(_BRACE, "{")


def fill(
    entry: Entry,
    known: Mapping[str, str],
    *,
    line: int | None = None,
    text: str | None = None,
    file: str | None = None,
) -> Diagnosis:
    """Return the finding for ``entry`` with its words filled in from ``known``."""
    recipe = entry.recipe
    return Diagnosis(
        id=entry.id,
        stage=entry.stage,
        severity=entry.severity,
        fault=entry.fault,
        cause=_fill_text(entry.cause, known),
        remedy=_fill_text(entry.remedy, known),
        line=line,
        text=text,
        recipe=_fill_text(recipe, known) if recipe else None,
        sources=entry.sources,
        umbrella=entry.umbrella,
        file=file,
        confirm=_fill_text(entry.confirm, known) if entry.confirm else None,
    )


#: Entries that say that no GPU is seen, by a program that goes on without.
_NO_GPU = {"G62", "O20"}
#: Entries that say that HailoRT found no device it could take.
_NO_DEVICE = {"R08", "R53", "T11"}


def _computed_ids(seen: Observed, scene: Scene, hit: set[str]) -> Iterator[tuple[str, str | None]]:
    """Yield entries that the whole run shows, with the words that show it."""
    given, used = seen.images_given, seen.images_used
    if given is not None and used is not None and used < given and "C05" not in hit:
        yield "C05", f"{used} of {given} images used for calibration"
    low, high = seen.level_run, seen.level_asked
    if low is not None and high is not None and low < high and not hit & {"O01", "C04", "A09"}:
        yield "D01", f"level {high} asked, level {low} run"
    if seen.four_bit and "O13" not in hit:
        yield "O13", ", ".join(seen.four_bit)
    if (seen.demoted and "A05" not in hit) or (scene.wide_zero_point and scene.uint8):
        shown = ", ".join(seen.demoted) or f"zero point {scene.wide_zero_point} on a UINT8 output"
        yield "A05", shown
    if scene.script_divides and any(_UNIT_RANGE.search(text) for text in seen.not_normalized):
        yield "A03", "values of 0 to 1 given, and the script divides again"
    if scene.optimized_plain and scene.compiled_scripted:
        yield "O15", None
    poor = {name: value for name, value in seen.snr.items() if not value >= USELESS_SNR}
    if poor:
        yield "A10", ", ".join(f"{name}: {value:g} dB" for name, value in poor.items())
    yield from _of_the_device(seen, scene, hit)
    yield from _of_its_time(scene, hit)
    if {"E260", "Y03"} <= hit:
        yield "E264", None
    if scene.wsl_1 and not scene.wsl_2 and hit & EXPLAINED["S260"]:
        yield "S260", scene.wsl_1
    elif scene.wsl_1 and not scene.wsl_2 and hit & _NO_GPU:
        yield "S490", scene.wsl_1
    if seen.hef and _in_container_folder(seen.hef, scene.cwd):
        yield "H01", seen.hef


def _of_the_device(seen: Observed, scene: Scene, hit: set[str]) -> Iterator[tuple[str, str | None]]:
    """Yield entries that follow from which card, driver, library and API the log shows."""
    if scene.old_card and scene.new_driver and "R36" not in hit:
        yield "R36", scene.new_driver
    old_library = scene.old_library or seen.versions.get("hailort", "").startswith("4.")
    if scene.card_of_line_5 and old_library and hit & (_NO_DEVICE | {"R97"}):
        yield "R96", scene.card_of_line_5
    if scene.other_node and scene.old_node and "R33" in hit:
        yield "R490", scene.other_node
    if scene.old_api and "T430" in hit and "R16" not in hit:
        yield "R16", scene.old_api


def _of_its_time(scene: Scene, hit: set[str]) -> Iterator[tuple[str, str]]:
    """Yield entries that follow from what came before or after the failure."""
    if scene.too_early:
        yield "K411", scene.too_early
    if scene.crashed_at_end and "G11" in hit:
        yield "R410", scene.crashed_at_end
    if scene.lost_power:
        yield "R95", scene.lost_power
    if scene.driver_of_another and "R40" in hit:
        yield "R520", scene.driver_of_another


def _in_container_folder(hef: str, cwd: str | None) -> bool:
    """Tell whether the HEF went into the image's own workspace, which dies with it."""
    if hef.startswith("/"):
        return re.match(r"/local/workspace/[^/]+\.hef$", hef) is not None
    return (cwd or "").rstrip("/") == "/local/workspace" and "/" not in hef.removeprefix("./")


def computed(seen: Observed, asked: Asked, scene: Scene, hit: set[str]) -> list[Diagnosis]:
    """Return the findings that follow from the run as a whole."""
    catalogue = load_catalogue()
    known = words(seen, asked) | {
        "layers": ", ".join(seen.four_bit or seen.demoted),
        "layer": next(iter(seen.four_bit or seen.demoted), ""),
    }
    return [
        fill(catalogue[name], known, text=text) for name, text in _computed_ids(seen, scene, hit)
    ]


def unexplained(
    line: int | None, text: str | None, file: str | None, *, step: str = "", stage: str = ""
) -> Diagnosis:
    """Return the finding for a failure that nothing in the list explains."""
    known = {"text": text or "", "step": step}
    found = fill(load_catalogue()["U01"], known, line=line, text=text, file=file)
    return replace(found, stage=stage or found.stage)


_LABEL = re.compile(r"\[(?P<host>[^\]]+)\]:(?P<port>\d+)\Z")


def address_words(captured: Mapping[str, str]) -> dict[str, str]:
    """Return the machine that a line of SSH speaks of, as each program takes it.

    ``hef_device`` for hef, ``ssh_target`` for ssh and ssh-copy-id, ``known_host_word`` for
    ``ssh-keygen -R``; each is quoted for a shell, and keeps the port.
    """
    labelled = _LABEL.match(captured.get("known_host", ""))
    host = labelled["host"] if labelled else captured.get("host") or captured.get("known_host")
    if not host or not re.fullmatch(r"[\w.:%-]+", host):
        return {}
    port = int(labelled["port"] if labelled else captured.get("port", SSH_PORT))
    user = captured.get("user") or None
    spec = DeviceSpec(name=host, host=host, user=user, port=None if port == SSH_PORT else port)
    return {
        "hef_device": device_argument(spec),
        "ssh_target": ssh_target(spec),
        "known_host_word": shlex.quote(host_label(host, port)),
    }


def status_words(captured: Mapping[str, str]) -> dict[str, str]:
    """Return name and meaning of the status that was captured by name or number."""
    status = captured.get("status") or captured.get("code")
    found = meaning_of(status) if status else None
    return {"status": found[0], "meaning": found[1]} if found else {}

"""Tells what a program survived: a line that only warns, and a step that went well when repeated.

What is plain of any program ("no such file", "no module named") proves a failure only where the
program stopped at it. A warning does not say that, and a download that came after some attempts
says the opposite.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from orchestrator.diagnose.words.text import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.diagnose.catalogue import Entry

#: A line, in small letters, that says itself that the program goes on. pip calls each attempt a
#: warning; whether the last one came through is told by what follows.
_WARNED = re.compile(
    r"^(?!.{0,40}\b(?:retrying|erroneous pipeline)\b)"
    # OpenCV only warns, whatever GStreamer refuses.
    r"(?!.{0,120}gstreamer warning: ?error opening)(?:"
    r"[^a-z]{0,60}(?:[\w.:/-]{1,60} ){0,4}?[\[<(]?(?:\w{1,30})?warn(?:ing)?[\])>]?(?=[\s:*!]|$)"
    # The engines' own loggers name the level in a field.
    r"|(?:time=\S+ )?(?:level=warn(?:ing)? |warn\[\d+\] )"
    r"|.{0,80}-warning \*\*|w\d{4} \d|\S+: w \w+/|\[w\]|w: (?!gpg error|failed to fetch)"
    # Tools that look around say what they did not find or may not read, and go on.
    r"|(?:find|grep|du|rm|rmdir|cat|head|tail|tee|stat|readlink|ln|mkdir|touch|ch(?:own|mod)): "
    r"(?!.*(?:space left|read-only|output error))(?!.{0,80}/dev/(?:hailo|h1x))"
    r"|ls: (?=.{0,60}/(?:dev|sys|proc)/)(?!.{0,80}/dev/(?:hailo|h1x))"
    # What a login script names and is gone by now; nobody asked for it.
    r"|-?(?:ba|da|z)?sh: \S+(?:/env|/setup\.(?:ba|z)?sh|rc|profile): no such file"
    r"|.{0,160}\b(?:is optional|optional (?:module|dependency|package|feature)|\(optional\))"
    r"|(?:exception|error) ignored in"
    # Scripts of users mark by this sign what they go on after.
    r"|[^a-z]{0,20}(?:\u26a0|\bskip\b)"
    r"|[^a-z]*optional\b"
    # A web server that may not write its log yet; what stops it says so itself.
    r"|.{0,60}\bnginx: \[alert\] could not open error log"
    r"|.{0,60}\bapache2?: could not open error log"
    # What a browser or a program made with one says of itself, and never stops at.
    r"|\[\d+:\d+:[\d/.:]+:(?:error|warning):\w+\.cc\("
    r")"
)
#: What a line says of the program itself: that it goes on, whatever was wrong.
_GOES_ON = re.compile(
    r"^.{0,240}?\b(?:falling back|(?:will )?fall back to|skipping|not required"
    # pip, where it ends, says so of what it left out.
    r"|(?<!error: )ignor(?:ed|ing)\b"
    r"|if you do not have a gpu|continuing (?:anyway|without)|going on without|will be disabled"
    r"|\busing (?:the )?(?:cpu|software|onnx\w*|mock|dummy) (?:backend|inference|runtime|instead)"
    r"|support disabled|default(?:ing)? to\b|using (?:the )?defaults?\b"
    # YOLOv5's export tries this format, too, unless it is told which ones are wanted.
    r"|\bcoreml: export failure"
    r"|starting (?:fresh|empty|from scratch)|\bcpu fallback\b|(?:mock|simulation|demo) mode"
    # What a compiler, and programs that write fields, call a warning themselves.
    r"|\.\w{1,4}:\d+(?::\d+)?: (?:warning|note):|\blevel=(?:warn|info|debug)"
    r"|(?<=[,.;!-] )(?:now |trying to |will )?download(?:ing)?\b(?!.{0,60}\bfail))"
)
#: Advice for the case that something happens, and a list of changes; it did not.
_ADVICE = re.compile(
    r"^(?:.{0,40}|.{0,120}[.:] )\bif you (?:still )?"
    r"(?:see|get|encounter|receive|run into|are (?:seeing|getting))\b"
    r"|^\W*(?:tip|note|hint): (?!you )"
    r"|^\W*(?:bug ?)?fix(?:ed|es)?\b[:( ](?! ?failed\b)(?!.{0,80}\b(?:now|but|still)\b)"
)
#: What went on without it says so; then also what is known of one program did not stop it.
_WENT_ON = re.compile(
    r"\b(?:support (?:is )?disabled|will be disabled|is optional|\(optional\)|continuing without"
    r"|trying (?:again|another|port \d+|the next)"
    r"|(?:installing|creating|downloading) (?:it|one|now)\b"
    r"|(?:is|are) now\b|, waiting)"
)
#: Loggers that only tell what they do. The kernel calls its hung tasks "INFO".
_TOLD = re.compile(
    r"^.{0,60}?(?<![\w/.])(?:INFO|DEBUG|TRACE)(?=[\s:\]|]+(?!.{0,40}\bstderr\b))(?!: task )"
)
#: Programs of the system whose failures at the start of a machine stop nothing of the user's.
_DAEMONS = re.compile(
    r"^.{0,60}?\d\d:\d\d:\d\d\S* \S+ (?:systemd-(?!coredump)[\w-]+|avahi-daemon|chronyd|ntpd|dhcpcd"
    r"|dhclient|networkmanager|wpa_supplicant|bluetoothd|cupsd|cups-browsed|modemmanager"
    r"|rtkit-daemon|lightdm|gdm\S*|gnome-\S+|pulseaudio|wireplumber|pipewire\S*|xdg-\S+|snapd"
    r"|dbus-daemon|polkitd|thermald|udisksd|colord|gvfsd?|labwc|wayfire|lxpanel|lxsession"
    r"|pcmanfm|wf-panel-pi|sshd(?!\[\d+\]: authentication refused: bad own)|rsyslogd"
    r"|alsactl|triggerhappy|thd|anacron|fwupd\S*"
    r"|packagekitd?|accounts-daemon|kdeconnectd|plasmashell|tracker-\S+)(?:\[\d+\])?:",
    re.IGNORECASE,
)
#: A warning of the compiler that says itself what it does instead: no failure, whatever else it
#: speaks of.
_INSTEAD = re.compile(
    r"^\[warning\].*\b(?:will not (?:generate|be \w+)|will be (?:ignored|skipped|disabled)|skipp\w+"
    r"|proceed\w*|revert\w+ to|fall\w* back|trying again|retrying)\b"
    # It tries partition after partition, and says of each why it is none; what ends the search
    # comes last.
    r"|^(?:\[default\] )?(?:\[info\] )?(?:iteration|partition) failed on: "
)
#: First letters of entries about Python itself: a program that only warns of such
#: a thing goes on without it.
_OF_ANY_PROGRAM = "Y"
#: Steps that went well, as package tools and engines say it. What each of them shows to be over
#: says so itself (``ended_by``).
MENDED = (
    ("apt", re.compile(r"^(?:setting up \S+ \(|processing triggers for \S+ \(|upgraded \d+, new)")),
    ("lists", re.compile(r"^\d+ upgraded, \d+ newly installed")),
    # Figures follow, so that the card was used; a run that ends well says more.
    ("run", re.compile(r"^(?:> )?inference result:")),
    # A program of the user's infers, and tells a rate that was measured: no whole number, as
    # those are that a camera is asked for.
    ("rate", re.compile(r"(?<![\w.])(?!0+\.0+ )\d+\.\d+ fps\b"
                        r"|\bfps(?: \([\w_]+\))?\s?[:=] ?(?!0+\.0+(?!\d))\d+\.\d")),
    ("plugin", re.compile(r"^factory details:")),
    # Into its log HailoRT writes that the network is on the chip.
    ("loaded", re.compile(r"^\[hailort\] \[info\] .*\] (?:activating \S+ took"
                          r"|configuring hef (?:on vdevice )?took"
                          # Of a program that leaves that to HailoRT's service.
                          r"|configuring network group \S+ with params)")),
    # And there it has a card: it opened one for a program, or asked its firmware.
    ("opened", re.compile(r"^\[hailort\] \[info\] .*\] vdevice infos: \S")),
    ("answered", re.compile(r"^\[hailort\] \[info\] .*\] firmware_version is: \d")),
    # The Pi 5's own connector; its other ports (the RP1 chip has one) are always up.
    ("link", re.compile(r"brcm-pcie 1000110000\.pcie: link up")),
    ("configured", re.compile(r"^-- configuring done|^found ninja-|^build targets in project")),
    ("pull", re.compile(r"^(?:status: (?:downloaded newer image|image is up to date) for"
                        r"|writing manifest to image destination|loaded image(?: id)?: )")),
    # Of curl's percentages only 100 has three digits; "100" itself looks like any stamp's zeros.
    ("fetch", re.compile(r"^\d{3} +\S+ +\d{3} +\S+ .*--:--:--|\bsaved \[\d+(?:/\d+)?\]$")),
    ("again", re.compile(r"\bre-?downloading\b(?!.*\bfail)")),
    # Ultralytics' loader fetches the set that it did not find.
    ("dataset", re.compile(r"^dataset download success\b")),
    ("docker", re.compile(r"^(?:hello from docker!|server version: \d)")),
    ("up", re.compile(r"^container \S+ +(?:is )?healthy\b")),
    # The zoo counts the pictures of an evaluation that is over, and says how good they were.
    ("evaluated", re.compile(r"^<hailo model zoo info> done \d+ images\b")),
    ("make", re.compile(r"^make(?:\[\d+\])?: \[.*\] error \d+ \(ignored\)")),
    ("ssh", re.compile(r"^(?:warning: permanently added|last login: "
                       r"|linux \S+ \d\S+ .*(?:aarch64|armv\dl|x86_64)\b"
                       # A script that waits for a machine says so of it.
                       r"|(?:host )?[\w.-]*[\w-] is (?:now |back )?(?:up|online|reachable)\b)")),
    # PyTorch's exporter only notes that it could not bring the model to an older opset.
    ("exported", re.compile(r"^applied \d+ of general pattern rewrite rules"
                            r"|\b(?:written|saved|exported|wrote)\b.{0,30}?\S\.onnx\b"
                            r"|\S\.onnx\b.{0,12}?\b(?:written|saved|exported)\b")),
    ("net", re.compile(r"^connection to \S+ .*\bport .*succeeded!|^\* connected to \S+ \("
                       r"|(?<!not )(?<!get )\b(?:re)?connected to \S*\d\.\d"
                       r"|successfully (?:re)?connected"
                       r"|\b(?:database|broker|redis|postgres\w*|mongo\w*|mqtt|websocket) "
                       r"(?:is (?:now )?)?(?:re)?connected\b")),
    ("git", re.compile(r"^(?:resolving deltas: 100%|updating files: 100%|successfully rebased"
                       r"|already up.to.date)")),
    # The engine tells the number of a container that it made.
    ("created", re.compile(r"^[0-9a-f]{64}$")),
    # Compose, of each part that it brought up.
    ("started", re.compile(r"^(?:\W{1,3} )?container \S+ +started\b")),
    ("network", re.compile(r"^(?:\W{1,3} )?network \S+ +created\b")),
    ("compiler", re.compile(r"^(?:\[info\] )?hailo dfc version:? \d")),
    # A module of the kernel was built whole.
    ("module", re.compile(r"^ld \[m\] \S+\.ko$")),
    ("large", re.compile(r"^downloading lfs objects: 100%")),
    # Its list says of a distribution that it runs.
    ("wsl", re.compile(r"^(?:\* ?)?[\w.-]+ +running +2$")),
    ("usbip", re.compile(r"^usbipd: info: using wsl distribution\b")),
)  # fmt: skip
#: Modules whose package has another name.
_PACKAGES = {"cv2": "opencv_python", "yaml": "pyyaml", "pil": "pillow", "sklearn": "scikit_learn"}
#: Formats that no other one is made of.
_OF_A_FORMAT = re.compile(r"^\W*(?:torchscript|coreml):? export failure", re.IGNORECASE)
_EXPORT_FAILED = re.compile(r"\bexport failure\b", re.IGNORECASE)
_INSTALLED = re.compile(r"^successfully installed (?P<names>\S.*)")
_VERSION = re.compile(r"-v?\d[\w.+!]*$")


def installed(lower: str) -> frozenset[str]:
    """Return the packages that a line of pip's, in small letters, says were installed."""
    match = _INSTALLED.match(lower.lstrip())
    names = match["names"].split() if match else []
    return frozenset(_VERSION.sub("", one).replace("-", "_") for one in names)


def package_of(module: str) -> str:
    """Return the package that brings ``module``, as pip says it, as far as the name tells."""
    top = module.lower().split(".")[0].replace("-", "_")
    return _PACKAGES.get(top, top)


def package_meant(entry: Entry, captured: Mapping[str, str]) -> str:
    """Return the module or package that a hit of ``entry`` speaks of, else nothing."""
    name = captured.get("name", "") if "package" in entry.traits else ""
    return captured.get("module") or name


def not_to_be_had(hits: Sequence[tuple[Entry, int, Mapping[str, str]]]) -> set[str]:
    """Return the entries of ``hits`` (proven ones: line and what was captured) that miss a package
    that pip was asked for after that and does not find: why it does not is the cause."""
    sought = {
        package_of(captured["name"]): line
        for entry, line, captured in hits
        if "no-package" in entry.traits and "name" in captured
    }
    return {
        entry.id
        for entry, line, captured in hits
        if "module" in captured and sought.get(package_of(captured["module"]), 0) > line
    }


def of_other_formats(one: str, two: str) -> bool:
    """Tell whether two lines are of two formats of an export, of which no one needs the other:
    YOLO's exports go on with the next format."""
    alone = [_OF_A_FORMAT.search(line) is not None for line in (one, two)]
    return any(alone) and all(_EXPORT_FAILED.search(line) for line in (one, two))


@lru_cache(maxsize=REMEMBERED)
def warned(folded: str) -> bool:
    """Tell whether a line (folded) only warns, or says that the program goes on without it."""
    lower = folded.lower()
    return _WARNED.match(lower) is not None or goes_on(lower)


def goes_on(lower: str) -> bool:
    """Tell whether a line (in small letters) says that the program goes on."""
    return _GOES_ON.match(lower) is not None or _INSTEAD.match(lower) is not None


@lru_cache(maxsize=REMEMBERED)
def chatter(line: str) -> bool:
    """Tell whether a line (with its prefix) is told by the way, or by a daemon of the system."""
    return _TOLD.match(line) is not None or _DAEMONS.match(line) is not None


def proves(entry: Entry, folded: str, *, by_the_way: bool = False) -> bool:
    """Tell whether a line may assert ``entry``: advice nothing, a warning nothing that is plain,
    and neither what is told ``by_the_way``."""
    lower = folded.lower()
    if _ADVICE.search(lower):
        return False
    if entry.severity == "fatal" and goes_on(lower):
        return False
    if entry.severity != "fatal":
        return True
    if _WENT_ON.search(lower):
        return False
    general = "*" in entry.yields_to or entry.id[0] in _OF_ANY_PROGRAM
    return not general or not (by_the_way or warned(folded))


def mended_by(lower: str) -> str | None:
    """Return the step of :data:`MENDED` that a line (in small letters) says went well."""
    return next((name for name, pattern in MENDED if pattern.search(lower.strip())), None)

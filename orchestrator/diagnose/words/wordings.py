"""How the vendor's tools say what they did, as patterns for folded lower-case text.

Wordings differ between releases, so the patterns are put together from groups of words that
mean the same; group names say what is captured.
"""

from __future__ import annotations

import re

_N = r"(?P<n>\d[\d,]*)"
_IMAGES = r"(?:images?|pictures?|samples?|frames?|files?|entries|items)"
_CALIBRATION = r"(?P<what>calib\w*|fine[ -]?tun\w*|quantization-aware \w+|adaround|bias\w*)"
_GOT = (
    r"(?:found|loaded|loading|collected|read|got|prepared|selected|given|supplied|copied"
    r"|preprocess\w*|process\w*|stacked|saved|wrote|using all|with|total(?: of)?)"
)
_LEVEL = r"optimi[sz]ation[ _]level"
_LOWERED = r"(?:reduced|lowered|decreased|downgraded|dropped|forced|limited|changed)"
_LOWERING = (
    r"\b(?:reduc\w+|lower\w*|decreas\w+|downgrad\w+|drop\w*|fall\w* back|chang\w+|set\w*"
    r"|limit\w*|forc\w+)\b"
)
_SHAPE = r"\(?(?P<n>\d+), ?\d+, ?\d+, ?\d+\)"


_Patterns = tuple["re.Pattern[str] | tuple[re.Pattern[str], ...]", ...]


def _all(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern) for pattern in patterns)


LEVEL_ASKED = _all(
    rf"(?:default|requested|chosen|using|asked) (?:model )?{_LEVEL}(?: of| is|:|=)? ?(-?\d+)",
    r"^(?!.*\breduc).*\boptimi[sz]ation_level ?[=:] ?(-?\d+)",
    rf"{_LEVEL} (?:was )?(?:set|chosen|configured)(?: to| as)? (-?\d+)",
)
LEVEL_LOWERED = _all(
    rf"\b{_LEVEL}\b(?: (?:was|is|has been|will be))? (?:automatically )?{_LOWERED}"
    r"(?: from (?P<asked>-?\d+))? (?:down )?to (?P<level>-?\d+)",
    rf"\b{_LEVEL} ?[=:]? ?(?P<asked>\d+)\b .{{0,40}}?{_LOWERING}(?: it)? (?:down )?to "
    r"(?P<level>-?\d+)",
    rf"{_LOWERING}.{{0,30}}?\b{_LEVEL}\b(?: from (?P<asked>-?\d+))?[^\d]{{0,20}}(?P<level>-?\d+)",
)
LEVEL_ZERO = re.compile(rf"running .*(?:(?:zero|0) level of optimi[sz]ation|{_LEVEL} (?:of )?zero)")

IMAGES_USED = _all(
    rf"\busing (?:a )?data ?set (?:with|of) {_N} (?:{_IMAGES} )?(?:for|in|during) (?:the )?"
    rf"{_CALIBRATION}",
    rf"\b(?P<what>calibrat\w*|fine[ -]?tun\w*) (?:is )?(?:using|with|on|over|uses|used) (?:a )?"
    rf"(?:data ?set (?:of|with) )?{_N} {_IMAGES}",
    rf"\bused? {_N} {_IMAGES} (?:for|in|during) {_CALIBRATION}",
)
#: "64 of 1339 images used": both numbers in one sentence about calibration.
IMAGES_PAIR = re.compile(
    rf"\b{_N} ?(?:/|out of|of) ?(?:the |all )?(?P<given>\d[\d,]*) (?:\w+ )?{_IMAGES}"
    # Those that were left out are none that were used.
    r"\b(?! (?:can ?not|could not|cannot|have no|are (?:missing|broken|unreadable)))"
)
CALIBRATION_BAR = re.compile(r"^calibration:? .*?\b(\d+)/(\d+) \[")
IMAGES_GIVEN = _all(
    rf"\b{_GOT}\W{{1,3}}(?:all |a total of )?{_N} (?:\w+ ){{0,2}}?(?:calib\w*|quanti[sz]ation)"
    rf" (?:\w+ )?{_IMAGES}",
    rf"\b{_GOT}\W{{1,3}}{_N} (?:jpe?g |png |training |rgb )?{_IMAGES}\b"
    r" .{0,40}?\b(?:for|from|in|as|of)\b .{0,60}?\bcalib",
    r"\bcalib\w*(?: data(?: ?set)?| set| images?| samples?| array| folder| dir\w*)?"
    rf"(?: has| holds| contains| with| size| count|:| =|,)* ?(?:is |of )?{_N} {_IMAGES}\b",
    rf"\bcalib\w*\b.{{0,60}}?\bshape\W{{0,4}}{_SHAPE}",
    r"\bcalib(?:ration)?[_ ]?(?:set|data|images?|array|dataset)[\w ]{0,12}[:=] ?" + _SHAPE,
    rf"\b(?:images?|samples?) (?:found|given|supplied|available) (?:for|as) calib\w*\W+{_N}",
    rf"\b(?:number of |num[_ ]?|n[_ ])calib\w*[_ ]?(?:images?|samples?|frames?)?\W+{_N}\b",
)

GPU_YES = re.compile(
    r"\bselected gpu:? \d|\busing gpu\b(?!.*\bno\b)|physical_?device:gpu:\d"
    r"|created device \S*device:gpu:\d|\bby allocator gpu_\d|allocator \(gpu_\d_bfc\)"
    r"|\bgpus? (?:is |was |were )?(?:found|chosen|selected|detected)(?: successfully)?: ?\S"
)
GPU_NO = re.compile(
    r"fall\w* back (?:to|on) (?:the )?cpu"
    r"|\bno (?:available |suitable |usable |nvidia |cuda )?gpus?\b(?! chosen, select)"
    r"|\bgpu functionality will not|\bskipping registering gpu|no cuda-capable device"
    r"|\bgpu (?:is |was )?not (?:found|available|detected|visible)"
    r"|without (?:an? )?(?:available )?gpu\b(?! (?:it|this|that|all|everything) )"
    r"|could not (?:find|load) .{0,20}\b(?:cuda|gpu) (?:drivers?|device)"
)

SNR = re.compile(
    r"(?<![\w./-])(?P<layer>[\w./-]+)(?: ?(?:output)? ?\(?\bsnr\b\)?|: snr) ?(?:is|=|:)? ?"
    r"(?P<db>-?(?:\d+(?:[.,]\d+)?(?:e-?\d+)?|inf|nan)) ?db\b",
    re.IGNORECASE,
)
SKIPPED = _all(
    r"^(?i:\[\w+\] )?(?i:algorithm )?(?P<name>(?i:[a-z][\w /-]{2,48}?))"
    r"(?i: algorithm)?(?i: is| was| will be| has been)? (?i:skipped)\b",
    r"^(?i:\[\w+\] )?(?i:skipp(?:ing|ed) (?:the )?(?:algorithm )?)"
    r"(?P<name>(?i:bias correction|ada ?round|fine ?tun\w+(?: encoding)?|equali[sz]ation"
    r"|quantization-aware[\w -]*|layer noise analysis))\b",
)
FOUR_BIT = re.compile(
    r"(?:assign\w*|using|set\w*|quanti[sz]\w*|compress\w*|reduc\w*|chang\w*) .{0,30}?"
    r"\b(?:4[ -]?bits?|int4|a8_w4)\b.{0,30}?\b(?:layers?|of|for|to|in)\b:? (?:layers? )?"
    r"(?P<layer>[\w./-]+/[\w./-]+|[a-z]\w*\d\w*)",
    re.IGNORECASE,
)
DEMOTED = (
    re.compile(r"\b16[ -]?bits?\b|\ba16_w16\b|\bu?int16\b|\b16x8\b"),
    re.compile(r"\b8[ -]?bits?\b|\ba8_w8\b|\bu?int8\b|\b8x8\b"),
    re.compile(
        r"\b(?:demot|reduc|lower|fall\w* back|revert|ignor|chang|convert|downgrad|cast|instead"
        r"|switch|forc|us(?:e|ed|ing) (?:an? )?(?:8|a8|u?int8)|not supported)"
    ),
)
LAYER = re.compile(
    r"\b([\w-]+/[\w.-]+|(?:conv|fc|output_layer|dw|ew_add|concat|matmul|deconv)\d+)\b"
)
NOT_NORMALIZED = re.compile(
    r"calib\w* (?:data ?)?(?:set|data)?.{0,30}?"
    r"\b(?:not (?:\w+ ){0,2}?normali[sz]ed|unnormali[sz]ed)"
)

CONTEXTS_FINAL = _all(
    r"appl(?:y|ying|ied) (?:the )?selected partition (?:to|with|of) (\d+) contexts?",
    r"number of contexts: ?(\d+)",
)
CONTEXTS_SO_FAR = _all(
    r"(?:found|using) (?:a )?valid partition (?:to|with|of|into) (\d+) contexts?",
    r"iteration #\d+ - (?:contexts: )?(\d+)(?: contexts)?",
)
KERNELS = re.compile(r"compiling (?:kernels of )?\S*?context_?(\d+)\b")
SINGLE_CONTEXT = re.compile(
    r"using single[- ]context flow|network group name: .*, single context|in a single context"
)
MULTI_CONTEXT = re.compile(r"using multi[- ]context flow|single[- ]context flow failed")

ARCH = re.compile(
    r"(?:--hw[-_]arch[ =]|initializing the |hw architecture: |device architecture: "
    r"|hef was compiled for: |hw_arch[=: ]+)(hailo\d+[a-z]*)"
)
HEF = re.compile(r"(?<![\w./\\:~-])([\w./\\:~-]*[\w-]\.hef)\b", re.IGNORECASE)
HEF_SAVED = re.compile(r"(?:written|saved|wrote|writing|saving)\b.*\.hef\b")

_VERSION = r"v?(\d+(?:\.\d+){1,3}(?:[a-z]\d*)?)"
#: What follows a version that a program wants, and does not have.
_WANTED = r"(?![\d.]* (?:is required|or newer|requires-python))"
#: A line of another maker's driver or library, which says no version of Hailo's.
_OTHERS = (
    r"(?!.*\b(?:nvidia|nvml|nvrm|cuda|cudnn|rocm|amdgpu|intel|mesa|vulkan|opencl|odbc|chromedriver"
    r"|realsense|gpu|coral|edgetpu)\b).*?"
)
VERSIONS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("dfc", rf"\b(?:dfc|dataflow compiler)(?: version)?[ :=v]+{_VERSION}"),
        ("dfc", rf"\bhailo[_-]dataflow[_-]compiler(?:==|-|_| )+{_VERSION}"),
        ("dfc", rf"\bhef compiler version: {_VERSION}"),
        ("dfc", rf"\bhailo_sdk_client(?:\.__version__|==|-| )+[ :=]*{_VERSION}"),
        ("hailort", rf"\bhailort(?:[- ]cli)? version:? {_VERSION}"),
        ("hailort", rf"^(?=.*\blibrary version){_OTHERS}\blibrary version:? \(?{_VERSION}"),
        ("hailort", rf"\blibhailort(?:\.so\.| version \(?|[ :=]+){_VERSION}"),
        ("hailort", rf"(?:^|\s)hailort(?:==|-|_| ){_VERSION}"),
        ("driver", rf"^(?=.*\bdriver version){_OTHERS}\bdriver version:? \(?{_VERSION}"),
        ("driver", rf"\bhailo1?x?_pci\b.{{0,20}}?version:? {_VERSION}"),
        ("firmware", rf"\bfirmware version:? {_VERSION}"),
        ("model_zoo", rf"\bhailo[ _-]model[ _-]zoo(?: version)?(?:==|[ :=v-])+{_VERSION}"),
        ("tensorflow", rf"\btensorflow(?: version|==|-)[ :=]*{_VERSION}"),
        # A program may say which one it wants before the one that is there.
        ("python", rf"(?:^|\s)python (?:version:? )?{_VERSION}{_WANTED}"),
        ("suite", r"\b(?:hailo8?_)?ai_sw_suite_(\d{4}-\d{2})\b"),
    )
)

#: An algorithm or the whole optimisation began or ended.
STEP = re.compile(r"is done|completed|starting")

#: What each reading of :mod:`~orchestrator.diagnose.observed` looks for; of a tuple all parts.
LEVEL = (*LEVEL_ASKED, *LEVEL_LOWERED, LEVEL_ZERO)
IMAGES = (*IMAGES_USED, IMAGES_PAIR, CALIBRATION_BAR, *IMAGES_GIVEN)
GPU = (GPU_NO, GPU_YES)
ALGORITHMS = (*SKIPPED, STEP)
PRECISION: _Patterns = (FOUR_BIT, DEMOTED[:2], NOT_NORMALIZED)
CONTEXTS = (*CONTEXTS_FINAL, *CONTEXTS_SO_FAR, KERNELS, SINGLE_CONTEXT, MULTI_CONTEXT)
IDENTITY: _Patterns = (*(pattern for _, pattern in VERSIONS), ARCH, (HEF, HEF_SAVED))
PATTERNS: _Patterns = (
    *LEVEL, *IMAGES, *GPU, SNR, *ALGORITHMS, *PRECISION, *CONTEXTS, *IDENTITY,
)  # fmt: skip

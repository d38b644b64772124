"""What an entry of the lists may say of itself beside its wording: ``traits`` and ``ended_by``.

How the findings of one log are weighed depends on these and on no list of ids in the code: an
entry says in one place all that is known of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Each word of ``traits``, and what is true of an entry that has it.
TRAITS: Mapping[str, str] = {
    # How much it says.
    "says-little": "only says that something failed or was ended: what says more comes first",
    "says-why": "HailoRT's own words, which say more than a status unless they name no reason",
    "own-words": "repeats what a program says of itself: idle where the list explains that line",
    "bare": "a status that leaves all open, so that words beside it come first",
    "argument": "says of HAILO_INVALID_... alone that an argument or a call is not valid",
    "thrown": "a program ends by its own exception, and said before what it could not do",
    "signal": "a signal ended the program: where it names an exception, as `thrown`",
    "closes": "the line that closes a step: what failed stands before it",
    # What it is about.
    "one-file": "about one HEF: another that runs is no end of it",
    "one-source": "apt says it of one source, and goes on with what it has",
    "package": "the name that it captures is a package's, which pip may install afterwards",
    "no-package": "pip finds no such package",
    "brought": "something is not there that an installation or a build would have brought",
    "no-device": "HailoRT found no device that it could take",
    "gpu": "says already why no GPU is used, or what follows of it",
    "complaint": "somebody complains of worse or of other results on the chip",
    # When it counts.
    "answers": "a possible cause that answers a plain question, too",
    "of-a-start": "a service that came too early, of which a supervisor may take care",
    "of-a-failure": "shows another failure only where it was not got over",
    "until-restart": "a new start of the machine ends it",
    "optimizing": "matters only where an optimisation began",
    # What it costs.
    "costs-some": "costs some accuracy at most",
    "makes-wrong": "makes all numbers wrong: beside it what costs some is no reason yet",
}

#: Each step that an entry may be ``ended_by``, and what went well then (``survived.MENDED`` holds
#: its words, or ``outcome.py`` where a tool of Hailo's or pip says it).
STEPS: Mapping[str, str] = {
    "fetched": "any step that fetched something over a network",
    "answered": "HailoRT noted the release of a card's firmware",
    "again": "a download of something anew",
    "apt": "apt set a package up",
    "compiler": "the Dataflow Compiler told its version",
    "configured": "CMake or Meson configured a project",
    "created": "an engine made a container",
    "dataset": "Ultralytics fetched a data set",
    "docker": "an engine answered",
    "evaluated": "the Model Zoo evaluated a network",
    "exported": "an ONNX file was written",
    "fetch": "curl or wget fetched a file",
    "git": "git fetched or rebased",
    "identify": "the card's firmware answered",
    "large": "git LFS fetched its files",
    "link": "the Pi 5's PCIe connector has a card",
    "lists": "apt had a list of packages",
    "loaded": "HailoRT put a network on the chip",
    "make": "make ignored an error, as it was told to",
    "module": "a module of the kernel was built",
    "net": "a connection came up",
    "network": "Compose made a network",
    "opened": "HailoRT opened a card for a program",
    "pip": "pip installed packages",
    "plugin": "GStreamer has the element",
    "pull": "an image is there",
    "rate": "a program measured its frames per second",
    "run": "a card inferred",
    "ship": "a file reached the device",
    "ssh": "a login went well",
    "started": "Compose started a container",
    "up": "a container is healthy",
    "usbip": "a USB device was given to WSL",
    "wsl": "a distribution of WSL runs",
}
#: Those that fetch something over a network.
FETCHES = frozenset({"apt", "dataset", "fetch", "git", "pip", "pull"})

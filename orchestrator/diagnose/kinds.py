"""What kind of thing an entry speaks of: any program, one network, a start.

How far a failure is over, and whose words fill a remedy, depends on that and not on the wording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.diagnose.catalogue import Entry

#: What is captured in these groups is listed over all the lines that show an entry.
LISTED = frozenset({"layer", "node", "op"})
MOST_LISTED = 8
#: What is captured in these groups belongs to that one message, and fills no other entry's words.
OWN = frozenset(
    {
        "wanted",
        "got",
        "said",
        "sent",
        "more",
        "what",
        "one",
        "two",
        "value",
        "code",
        "n",
        "shape",
        "data",
        "should",
        "name",
        "kind",
        "path",
        "file",
        "type",
        "version",
        "command",
        "count",
        "line",
        *("asked", "have", "gone", "busy", "dir", "closed", "rights", "field", "twice", "round"),
        *("out", "bad", "build", "share", "key", "copied", "copied_user"),
    }
)
#: What the parser proposes; each try has a proposal of its own.
PROPOSED = frozenset({"end_nodes", "start_nodes"})
#: Stages of what is made of one network.
COMPILING = frozenset({"parse", "calibrate", "optimize", "compile"})


def is_plain(entry: Entry) -> bool:
    """Tell whether an entry may come of any program, so that it is no word about this one."""
    return "*" in entry.yields_to or entry.id.startswith("Y")


def is_of_one_network(entry: Entry) -> bool:
    """Tell whether an entry is about the network or file at hand, and not about the machine."""
    return "one-file" in entry.traits or (entry.stage in COMPILING and entry.fault != "machine")

"""Stage compile: the quantised network becomes a HEF."""

from __future__ import annotations

from typing import Dict

from hefsmith_worker.contract.layout import HAR, HAR_QUANTIZED
from hefsmith_worker.protocol import StageError
from hefsmith_worker.workspace import Workspace

#: First bytes of every HEF.
MAGIC = b"\x01HEF"


def run(workspace: Workspace) -> Dict[str, object]:
    """Write the HEF and the compiled HAR."""
    runner = workspace.runner(HAR_QUANTIZED, "optimize")
    content = runner.compile()
    if not isinstance(content, (bytes, bytearray)) or bytes(content[:4]) != MAGIC:
        raise StageError(
            "the compiler returned no HEF (%s)" % type(content).__name__, code="compile.no-hef"
        )
    path = workspace.path(workspace.plan.hef_name)
    path.write_bytes(bytes(content))
    workspace.announce("hef", path)
    workspace.announce("har", workspace.save_har(HAR))
    return {"bytes": len(content)}

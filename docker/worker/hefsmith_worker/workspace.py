"""What the stages share: the plan, the event channel, file names, and the SDK's runner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional

from hefsmith_worker.contract.layout import CALIBRATION, CALIBRATION_INDEX, DRAFT_IN_GOLDEN
from hefsmith_worker.protocol import Plan, StageError

if TYPE_CHECKING:
    from hefsmith_worker.events import Channel


#: Where a box has the inputs; the local engine lends them in a temporary folder.
BOXED_INPUTS = Path("/hefsmith/in")


class Workspace:
    """The work folder of one build and everything that lives as long as the job.

    The SDK's runner is kept between stages; a stage whose predecessors came from the cache
    gets a fresh one from the archive (HAR) that they left.
    """

    def __init__(self, plan: Plan, channel: Channel) -> None:
        self.plan = plan
        self.channel = channel
        self._runner: Optional[Any] = None
        #: The user's own network, from the stage that loads it to the one that runs it.
        self.network: Any = None

    @property
    def boxed(self) -> bool:
        """Whether this job runs in a box: only there are the inputs where a box has them."""
        return self.plan.inputs == BOXED_INPUTS

    def path(self, name: str) -> Path:
        """Return a path below the work folder; its parent exists."""
        path = self.plan.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def needed(self, name: str, made_by: str) -> Path:
        """Return a file that an earlier stage has left."""
        path = self.plan.work / name
        if not path.exists():
            raise StageError("%s is missing: stage %s has not left it" % (name, made_by))
        return path

    def announce(self, role: str, path: Path) -> None:
        """Tell the host of a finished artifact."""
        self.channel.artifact(role, path, self.plan.work)

    def announce_tree(self, role: str, folder: Path) -> None:
        """Tell the host of every file below a folder."""
        # The draft is for the later stages only; it does not end in the build.
        files = [
            (role if path.name != DRAFT_IN_GOLDEN else "draft", path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        self.channel.artifacts(files, self.plan.work)

    def write_json(self, name: str, document: Any) -> Path:
        """Write a JSON file below the work folder, the same bytes for the same content."""
        path = self.path(name)
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
        # Bytes, not text: line ends must not depend on the system.
        path.write_bytes((text + "\n").encode("utf-8"))
        return path

    def read_json(self, name: str, made_by: str) -> Any:
        """Read a JSON file that an earlier stage has left."""
        return json.loads(self.needed(name, made_by).read_text(encoding="utf-8"))

    def new_runner(self) -> Any:
        """Return a fresh ``ClientRunner`` for the plan's chip."""
        from hailo_sdk_client import ClientRunner

        self._runner = ClientRunner(hw_arch=self.plan.arch)
        return self._runner

    def runner(self, har: str, made_by: str) -> Any:
        """Return the runner in the state that ``made_by`` has left it in."""
        if self._runner is None:
            from hailo_sdk_client import ClientRunner

            self._runner = ClientRunner(hw_arch=self.plan.arch, har=str(self.needed(har, made_by)))
        return self._runner

    def reload(self, har: str, made_by: str) -> Any:
        """Return a runner made anew from an earlier archive."""
        self._runner = None
        return self.runner(har, made_by)

    def described(self) -> Dict[str, object]:
        """Return the runner's description of its network (HN); empty where it gives none.

        It is told to people, and no build may fail for it.
        """
        try:
            found = self._runner.get_hn_dict()  # type: ignore[union-attr]
        except Exception:
            return {}
        return dict(found) if isinstance(found, dict) else {}

    def save_har(self, name: str) -> Path:
        """Save the runner's state below the work folder."""
        path = self.path(name)
        assert self._runner is not None
        self._runner.save_har(str(path))
        return path

    def calibration_arrays(self) -> Dict[str, Path]:
        """Return the memory-mapped calibration files by ONNX input name."""
        index = self.read_json(CALIBRATION_INDEX, "calibrate")
        folder = self.plan.work / CALIBRATION
        return {entry["input"]: folder / entry["file"] for entry in index["inputs"]}

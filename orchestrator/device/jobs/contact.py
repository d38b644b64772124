"""Ask HailoRT's Python binding on this device what public sources leave open.

hefsmith sends this file to the device, runs it there and removes it again. It needs
Python 3.9, numpy and hailo_platform, and nothing else. It runs no picture to its end.

stdin:  {"hef": file of a HEF with one input}
stdout: one JSON object a line: answer (check, found) for each question, then done; or failed.
stderr: what HailoRT logs; of the frame with eight bytes it says how many it saw.
exit:   0; anything else after done says how the interpreter's shut-down ends here.
"""

from __future__ import annotations

import json
import os
import re
import sys

from hailo_chip import open_chip
from job_report import tell


def in_a_line(error: BaseException) -> str:
    """Return an error's class and the first line of what it says."""
    return (type(error).__name__ + ": " + str(error).strip().split("\n")[0])[:300]


def work(request: dict[str, object]) -> None:
    """Ask one thing after the other."""
    import hailo_platform as hailo
    import numpy as np

    tell("answer", check="numpy", found=np.__version__)
    with open_chip(hailo) as device:
        tell(
            "answer",
            check="opened",
            found="shared" if "HEFSMITH_SHARED_GROUP" in os.environ else "",
        )
        if not hasattr(device, "create_infer_model"):
            return
        model = device.create_infer_model(request["hef"])
        with model.configure() as configured:
            bindings = configured.create_bindings()
            frame = np.zeros(tuple(model.input().shape), np.uint8)
            frame.flags.writeable = False
            try:
                bindings.input().set_buffer(frame)
                tell("answer", check="read-only", found="taken")
            except Exception as error:
                tell("answer", check="read-only", found="refused: " + in_a_line(error))
            try:
                bindings.input().set_buffer(np.zeros(8, np.uint8))
                configured.run([bindings], 1000)
                tell("answer", check="eight-bytes", found="taken")
            except Exception as error:
                tell("answer", check="eight-bytes", found=in_a_line(error))


def main() -> int:
    """Do what the request says; return the exit status."""
    request = json.load(sys.stdin)
    try:
        work(request)
    except Exception as error:
        number = re.search(r"error: (\d+) \((HAILO_\w+)\)", str(error))
        tell("failed", message=in_a_line(error), status=number.group(2) if number else None)
        return 1
    tell("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())

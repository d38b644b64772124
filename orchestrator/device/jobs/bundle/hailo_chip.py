"""Opens the chip for every program that runs on the device: jobs and bundles."""

from __future__ import annotations

import os
from typing import Any


def open_chip(hailo: Any) -> Any:
    """Open the chip; beside other programs, where HEFSMITH_SHARED_GROUP names their group.

    The scheduler is asked for: up to 4.23 Python leaves it off, and a model must then be activated
    by hand (4.17 ties it to the service). Programs share a chip through HailoRT's service. A
    Hailo-10H needs none, and refuses it: there the group is enough.
    """
    group = os.environ.get("HEFSMITH_SHARED_GROUP")
    params = hailo.VDevice.create_params()
    if group or hasattr(hailo.VDevice, "create_infer_model"):
        params.scheduling_algorithm = hailo.HailoSchedulingAlgorithm.ROUND_ROBIN
    if not group:
        return hailo.VDevice(params)
    params.group_id = group
    if not params.multi_process_service:
        params.multi_process_service = True
    try:
        return hailo.VDevice(params)
    except hailo.HailoRTException as error:
        if type(error).__name__ != "HailoRTInvalidOperationException":
            raise
    params.multi_process_service = False
    return hailo.VDevice(params)

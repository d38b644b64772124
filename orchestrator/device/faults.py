"""What can go wrong with a device, one class for each case that a caller treats differently."""

from __future__ import annotations

from orchestrator.errors import ArtifactError, DeviceError


class DeviceUnreachable(DeviceError):
    """No SSH server answered there: name, address, port or power."""

    default_code = "device.unreachable"


class HostKeyUnknown(DeviceError):
    """The device's host key has never been trusted; nothing was sent to it."""

    default_code = "device.host-key-unknown"


class HostKeyChanged(DeviceError):
    """The device shows another host key than the trusted one; nothing was sent to it."""

    default_code = "device.host-key-changed"


class LoginRefused(DeviceError):
    """The device answered, its key is trusted, but it accepted no key or password of ours."""

    default_code = "device.login-refused"


class LinkLost(DeviceError):
    """The connection ended in the middle of something."""

    default_code = "device.link-lost"


class DeviceSilent(DeviceError):
    """The device is reached, but an answer did not come in the time that it may take."""

    default_code = "device.silent"


class DeviceMisbehaves(DeviceError):
    """What the device sends breaks the protocol: too much, of another type, or unasked."""

    default_code = "device.misbehaves"


class CommandTimeout(DeviceError):
    """A command on the device ran past its time limit and was ended."""

    default_code = "device.timeout"


class DeviceBusy(DeviceError):
    """Another process holds the chip, or another hefsmith is changing the same model there."""

    default_code = "device.busy"


class DeviceFull(DeviceError):
    """There is no room on the device for what should be written."""

    default_code = "device.full"


class FolderNotOurs(DeviceError):
    """A folder on the device has our name, but something else made it."""

    default_code = "device.folder-not-ours"


class DeviceLacks(DeviceError):
    """Something that we need on the device (Python, HailoRT, a service) is not there."""

    default_code = "device.lacks"


class WillNotRun(ArtifactError):
    """This HEF cannot run on that device; refused before a byte was sent."""

    default_code = "device.will-not-run"

"""Arrays that are network inputs already: checked for layout, size, type and range.

They are the usual way in from other tools, and the usual place of silent faults: NCHW for
NHWC, pictures of the wrong size, values divided by 255 although the chip divides too.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

from hefsmith_worker.calibration.data import RANGE_ROWS, is_data
from hefsmith_worker.calibration.items import Item, Listing
from hefsmith_worker.calibration.model import CalibrationError, InputSpec
from hefsmith_worker.contract.findings import ERROR, INFO, WARNING, Finding

if TYPE_CHECKING:
    import numpy as np

MAX_ARRAY_BYTES = 256 * 1024**3

#: In the names of arrays that are not calibrated on.
HELD_OUT = ("val", "test", "eval", "label", "target", "y_")

#: An array that shrinks more than this when packed, and is large, has nothing in it. Zeros
#: shrink a thousandfold, masks fifty times, pictures by half.
MAX_RATIO = 200
RATIO_FROM_BYTES = 1 << 30


def list_npy(path: Path, spec: InputSpec, shown: Optional[str] = None) -> Listing:
    """List the rows of an array (N, H, W, C), or (N, F). Raises :class:`CalibrationError`."""
    import numpy as np

    name = shown or path.name
    try:
        array = np.load(str(path), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        reason = str(error)
        if "pickle" in reason.lower() or "object" in reason.lower():
            reason = "it holds Python objects, not numbers"
        msg = f"{path}: not an array file ({reason})"
        raise CalibrationError(
            msg, "calib.array", "Save it with numpy.save as one uint8 array.", str(path)
        ) from None
    if not hasattr(array, "shape") or array.ndim == 0:
        msg = f"{path}: holds a single number, not a set of pictures"
        raise CalibrationError(msg, "calib.shape", None, str(path))
    check_shape(array.shape, spec, str(path))
    notes = check_values(array, spec, str(path))
    items = [Item(f"{name}[{row}]", str(path), row=row) for row in range(array.shape[0])]
    return Listing(items, prepared=True, notes=notes)


def list_npz(path: Path, spec: InputSpec, scratch: Path) -> Listing:
    """List the rows of the array in an ``.npz`` that belongs to an input.

    It is the one named like the input, else the only one, else the only one of its shape. The
    member is unpacked to the scratch folder, so that it can be mapped.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                info.filename[:-4]: info
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
            names = sorted(members)
            fitting = [name for name in names if _fits(archive, members[name], spec)]
            key = member_for(names, fitting, spec.name)
            if key is None:
                have = ", ".join(names) or "nothing"
                msg = f"{path}: holds {have}; none is named like the input {spec.name}"
                if len(fitting) > 1:
                    msg += f", whose shape {' and '.join(fitting)} have"
                raise CalibrationError(
                    msg, "calib.npz", f"numpy.savez(file, **{{{spec.name!r}: array}})", str(path)
                )
            info = members[key]
            if info.file_size > MAX_ARRAY_BYTES or (
                info.file_size > RATIO_FROM_BYTES
                and info.file_size > MAX_RATIO * max(1, info.compress_size)
            ):
                msg = (
                    f"{path}: {key} unpacks to {info.file_size} bytes; "
                    f"looks like a decompression bomb"
                )
                raise CalibrationError(msg, "calib.archive.bomb", None, str(path))
            with archive.open(info) as packed:
                _check_header(packed, spec, f"{path.name}:{key}")
            _check_room(path, info.file_size, scratch)
            target = scratch / f"npz-{len(list(scratch.iterdir()))}.npy"
            with archive.open(info) as packed, target.open("wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError) as error:
        msg = f"{path}: not an array archive ({error})"
        raise CalibrationError(msg, "calib.array", "Save it with numpy.savez.", str(path)) from None
    return list_npy(target, spec, f"{path.name}:{key}")


def _check_header(packed: IO[bytes], spec: InputSpec, where: str) -> None:
    """Refuse an array of another shape before it is unpacked; what is no header is told later."""
    from numpy.lib import format as npy

    version = npy.read_magic(packed)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape = read(packed)[0]
    if shape:
        check_shape(tuple(shape), spec, where)


def _fits(archive: zipfile.ZipFile, info: zipfile.ZipInfo, spec: InputSpec) -> bool:
    """Tell whether an array has the shape of an input, by its header."""
    try:
        with archive.open(info) as packed:
            _check_header(packed, spec, info.filename)
    except (CalibrationError, zipfile.BadZipFile, OSError, ValueError, EOFError):
        return False
    except NotImplementedError:
        return False
    return True


def _check_room(path: Path, needed: int, scratch: Path) -> None:
    free = shutil.disk_usage(str(scratch)).free
    if needed > free:
        msg = f"{path}: unpacks to {needed >> 20} MiB, but {scratch} has room for {free >> 20} MiB"
        raise CalibrationError(msg, "calib.disk", "Free some room there.", str(path))


def member_for(names: Sequence[str], fitting: Sequence[str], wanted: str) -> Optional[str]:
    """Return which of an archive's arrays an input takes, ``None`` where that is open.

    ``fitting`` are those of its shape; of several the only one that is not held out.
    """
    if wanted in names:
        return wanted
    if len(names) == 1:
        return names[0]
    trained = [name for name in fitting if not any(word in name.lower() for word in HELD_OUT)]
    for few in (fitting, trained):
        if len(few) == 1:
            return few[0]
    return None


def check_shape(shape: Tuple[int, ...], spec: InputSpec, where: str) -> None:
    """Compare an array's shape with what the network takes. Raises :class:`CalibrationError`."""
    row = spec.preprocess.shape
    got = f"({', '.join(str(side) for side in shape)})"
    if tuple(shape[1:]) == row:
        return
    if len(row) == 1:
        what = f"the input {spec.name} needs (N, {row[0]})"
        fix = "array = array[None]" if tuple(shape) == row else "Give each sample one row."
        msg = f"{where}: array of shape {got}: {what}"
        raise CalibrationError(msg, "calib.shape", fix, where)
    height, width, channels = row
    need = f"(N, {height}, {width}, {channels})"
    if channels == 1 and len(shape) == 3 and shape[1:] == (height, width):
        return
    if height == 1 and len(shape) == 3 and shape[1:] == (width, channels):
        return
    code, fix = "calib.shape", f"Make it {need}: pictures in rows, channels last."
    if len(shape) == 4 and shape[1:] == (channels, height, width):
        code, what = "calib.layout", "its layout is NCHW, and the compiler takes NHWC"
        fix = "array = array.transpose(0, 2, 3, 1)"
    elif len(shape) == 3 and shape == (height, width, channels):
        what, fix = "it is a single picture without the first axis", "array = array[None]"
    elif len(shape) == 4 and shape[1:3] == (height, width):
        code, what = "calib.channels", f"it has {shape[3]} channels, the network takes {channels}"
    elif len(shape) == 4 and shape[3] == channels:
        what = f"its pictures are {shape[2]}x{shape[1]}, the network takes {width}x{height}"
        fix = "Arrays are taken as they are; resize before saving, or name the pictures instead."
    else:
        what = f"the input {spec.name} needs {need}"
    msg = f"{where}: array of shape {got}: {what}"
    raise CalibrationError(msg, code, fix, where)


def check_values(array: np.ndarray[Any, Any], spec: InputSpec, where: str) -> List[Finding]:
    """Look at type and range; return notes."""
    import numpy as np

    if array.shape[0] == 0:
        msg = f"{where}: the array has no rows"
        raise CalibrationError(msg, "calib.empty", None, where)
    kind = array.dtype.kind
    if kind not in "uif":
        msg = f"{where}: an array of {array.dtype}, not of numbers"
        raise CalibrationError(msg, "calib.dtype", "array = array.astype('uint8')", where)
    if array.dtype == np.uint8:
        return []
    rows = np.unique(np.linspace(0, array.shape[0] - 1, RANGE_ROWS).astype(int))
    low, high = range_of(array, rows)
    if not np.isfinite(low) or not np.isfinite(high):
        msg = f"{where}: the array has values that are not numbers (NaN or infinity)"
        fix = (
            "Make the array again without them; numpy.argwhere(~numpy.isfinite(array)) finds where."
        )
        raise CalibrationError(msg, "calib.nan", fix, where)
    notes = []
    if array.dtype.itemsize > 4:
        notes.append(
            Finding(
                "calib.dtype.wide",
                INFO,
                f"{where}: {array.dtype} takes {array.dtype.itemsize} times the space of uint8",
                "array.astype('uint8')",
            )
        )
    on_host = spec.preprocess.normalize == "host"
    if is_data(spec) and on_host:
        return notes
    if kind == "f" and on_host:
        if high > 16 or low < -16:
            message = (
                f"{where}: values {low:.4g}..{high:.4g}, but the recipe normalises on the host"
            )
            fix = "Normalise the array, or save raw pixels as uint8: they are normalised then."
            notes.append(Finding("calib.range", ERROR, message, fix))
        return notes
    if kind in "ui" and low >= 0 and high > 255 and not is_data(spec):
        # Of a camera with 10 or 12 bits: whole numbers are no result of a normalisation.
        step = 2 ** max(1, (int(high) >> 8).bit_length())
        message = f"{where}: values {low:.0f}..{high:.0f}, which need more than the 8 bits taken"
        fix = f"array = (array // {step}).astype('uint8')"
        notes.append(Finding("calib.range", ERROR, message, fix))
    elif low < 0 or high > 255:
        notes.append(_already("values %.4g..%.4g" % (low, high), where, spec))
    elif kind == "f" and high <= 1.0 and low < high:
        notes.append(_already("values within 0..1", where, spec))
    elif kind == "f":
        notes.append(
            Finding(
                "calib.dtype",
                WARNING,
                f"{where}: {array.dtype} pixels are rounded to uint8",
                "array.round().astype('uint8')",
            )
        )
    return notes


def _already(what: str, where: str, spec: InputSpec) -> Finding:
    if is_data(spec):
        message = f"{where}: {what}: the input {spec.name} takes 8 bits, 0..255"
        fix = (
            "Scale the array to 0..255 and save it as uint8, or set preprocessing.normalize: host "
            "(then mean and std are in the array's own units, and floats are taken as they are)."
        )
        return Finding("calib.range", ERROR, message, fix)
    message = f"{where}: {what}: it looks normalised already"
    if spec.preprocess.normalize == "chip":
        message += ", and the chip normalises again"
        fix = "Save raw pixels (0..255, uint8), or set preprocessing.normalize: host."
        return Finding("calib.normalised-twice", ERROR, message, fix)
    message += "; raw pixels 0..255 are needed"
    return Finding("calib.range", ERROR, message, "Save raw pixels.")


def range_of(array: np.ndarray[Any, Any], rows: Any) -> Tuple[float, float]:
    """Return the smallest and the largest value of some rows (NaN spreads)."""
    import numpy as np

    lows, highs = [], []
    for row in rows:
        part = np.asarray(array[int(row)])
        lows.append(float(part.min()))
        highs.append(float(part.max()))
    return float(np.min(lows)), float(np.max(highs))

"""Checks of the machine that `hef` runs on. Pure: facts in, findings out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.diagnose.doctor.checks import Check, error, info, ok, warning
from orchestrator.errors import escape_control
from orchestrator.installation import install_command

if TYPE_CHECKING:
    from hefsmith_worker.contract.findings import Finding

    from orchestrator.diagnose.doctor.facts import HostFacts

GIB = 1024**3

#: A GPU with more of its memory in use is refused by the vendor's compiler, which then runs on
#: the CPU without a word (its default is 5 %).
GPU_BUSY = 0.05


def check_python(facts: HostFacts) -> Finding | None:
    """Python must be one that the program supports."""
    version = ".".join(str(part) for part in facts.python)
    if facts.python < (3, 11, 0):
        return error(
            f"Python {version}",
            "hef needs 3.11 or newer",
            "Install a newer Python, for example: uv python install 3.12",
        )
    return ok(f"Python {version}")


def check_system(facts: HostFacts) -> Finding | None:
    """The system and, on Windows, how Linux runs there."""
    if facts.wsl == 1:
        return error(
            "WSL 1",
            "it has no Linux kernel of its own, so no Docker engine runs in it",
            "In PowerShell: wsl --set-version DISTRIBUTION 2",
        )
    if facts.wsl == 2:
        return ok(f"WSL 2 ({facts.release})")
    if facts.system == "Windows":
        return info(
            f"Windows {facts.release}",
            "builds run in Docker Desktop's Linux machine; hef in a WSL 2 distribution is quicker",
            "Install hef in a WSL 2 distribution: wsl --install -d Ubuntu-24.04",
        )
    return ok(f"{facts.system} {facts.release} {facts.machine}")


def check_avx(facts: HostFacts) -> Finding | None:
    """The vendor's compiler needs a processor with AVX (TensorFlow)."""
    machine = facts.machine.lower()
    if machine in {"arm64", "aarch64"}:
        if facts.system == "Darwin":
            return warning(
                "Apple silicon",
                "the vendor's suite is for x86-64 and runs here only under QEMU, many times "
                "slower; under Rosetta (OrbStack) it aborts for want of AVX",
                "Best: --engine ssh://user@x86-box. Else Docker Desktop > Settings > General: "
                "Virtual Machine Manager = Docker VMM or QEMU, Rosetta off, and at least 10 GB "
                "of memory. The emulator runs natively.",
            )
        return warning(
            f"{facts.machine} processor",
            "the vendor's suite exists for x86-64 only; the emulator runs natively",
            "For real compiles use a remote engine: --engine ssh://user@x86-box",
        )
    if facts.cpu_flags is None:
        return None
    if "avx" not in facts.cpu_flags:
        return error(
            "the processor shows no AVX",
            "TensorFlow in the vendor's suite stops with 'Illegal instruction' or an AVX message",
            "In a virtual machine choose the host's CPU model (cpu=host). An old processor "
            "cannot do it: --engine ssh://user@other-box. The emulator works all the same.",
        )
    return ok("AVX is available")


def check_memory(facts: HostFacts) -> Finding | None:
    """The vendor asks for 16 GB with swap, advises 32 GB."""
    if facts.memory is None:
        return None
    both = facts.memory + (facts.swap or 0)
    said = f"{facts.memory / GIB:.1f} GiB of memory, {(facts.swap or 0) / GIB:.1f} GiB of swap"
    if both >= 15.5 * GIB:
        return ok(said)
    if facts.wsl == 2:
        fix = (
            "In %UserProfile%\\.wslconfig:\n  [wsl2]\n  memory=16GB\n  swap=32GB\n"
            "then in PowerShell: wsl --shutdown"
        )
    else:
        fix = (
            "sudo fallocate -l 16G /swapfile && sudo chmod 600 /swapfile && "
            "sudo mkswap /swapfile && sudo swapon /swapfile"
        )
    return warning(
        said,
        "the vendor's compiler wants 16 GB with swap (32 GB advised) and is killed without a "
        "message when there is less; the emulator needs 2 GB",
        fix,
    )


def check_disk(facts: HostFacts) -> Finding | None:
    """Room for results and caches where the project is."""
    if facts.free is None:
        return None
    said = f"{facts.free / GIB:.1f} GiB free in the project's file system"
    if facts.free < 1 * GIB:
        return error(said, "a build writes some hundred MB, calibration more", "Free some space.")
    if facts.free < 5 * GIB:
        return warning(said, "several builds and caches may fill it", "hef cache gc")
    return ok(said)


def check_folder(facts: HostFacts) -> Finding | None:
    """Traps in where the project lies."""
    folder = facts.folder
    shown = escape_control(folder)
    if facts.wsl and folder.startswith("/mnt/") and facts.file_system in {"9p", "drvfs", "v9fs"}:
        return warning(
            f"the project is on a Windows drive ({shown})",
            "many small files are slow across 9p: calibration pictures, virtual environments",
            "Move it into the Linux file system, for example ~/models",
        )
    if facts.file_system in {"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs"}:
        return warning(
            f"the project is on a network file system ({facts.file_system})",
            "the engine may not be allowed to read it, and small files are slow",
            "Move it to a local disk.",
        )
    if not folder.isascii() or (any(c in folder for c in "\"'$`\\;&|*?<>") and "\\" not in folder):
        return warning(
            f"the project's path has unusual characters ({shown})",
            "hef copes, but the vendor's own scripts do not quote paths",
            "Use a path of plain letters and digits if you run those scripts.",
        )
    if " " in folder:
        return info(
            f"the project's path has blanks ({shown})",
            "hef copes; the vendor's own scripts do not",
        )
    if facts.system == "Windows" and len(folder) > 120 and not facts.long_paths:
        return warning(
            f"the project's path is {len(folder)} characters long",
            "Windows stops at 260 characters a path unless told otherwise",
            "Set LongPathsEnabled to 1 (Group Policy: Enable Win32 long paths), or move the "
            "project nearer to the drive's root.",
        )
    return ok(f"its file system is {facts.file_system or 'local'}")


def check_case(facts: HostFacts) -> Finding | None:
    """Names that differ only in case are one file on Windows and macOS."""
    if facts.case_sensitive is False:
        return info(
            "file names here ignore upper and lower case",
            "two pictures or labels that differ only in case overwrite each other",
        )
    return None


def check_msys(facts: HostFacts) -> Finding | None:
    """Git Bash rewrites arguments that look like Unix paths."""
    system = (facts.environ or {}).get("MSYSTEM")
    if not system:
        return None
    return warning(
        f"the shell is Git Bash / MSYS ({system})",
        "it turns arguments such as /data into C:/Program Files/Git/data before hef sees them",
        "export MSYS_NO_PATHCONV=1, or use PowerShell",
    )


def check_client(facts: HostFacts) -> Finding | None:
    """The docker command is needed for shells and compose alone."""
    plugins = facts.plugins or {}
    if facts.docker_cli is None:
        return info(
            "no docker command",
            "builds do without it; hef shell and compose.yaml need it",
            "Install Docker's command line if you want those.",
        )
    parts = ", ".join(f"{name} {version}" for name, version in sorted(plugins.items()))
    if facts.snap_docker:
        return warning(
            f"Docker comes from a snap ({facts.docker_cli})",
            "it sees only files below your home folder, none in hidden folders or /tmp, and its "
            "NVIDIA hook fails; hef then copies files, which is slower",
            "Install Docker's own packages, or keep projects below your home folder.",
        )
    return ok(f"{facts.docker_cli}; plugins: {parts or 'none (none are needed)'}")


def check_gpu(facts: HostFacts) -> Finding | None:
    """A GPU speeds the vendor's optimisation up, if the compiler takes it."""
    if not facts.gpus:
        return info(
            "no NVIDIA GPU found (nvidia-smi)",
            "the vendor's optimisation levels above 0 want one: without it the level is lowered "
            "silently unless the recipe forces it; hef reports what really ran",
        )
    busy = [gpu for gpu in facts.gpus if gpu.memory and gpu.used / gpu.memory > GPU_BUSY]
    names = ", ".join(f"{gpu.name} (driver {gpu.driver})" for gpu in facts.gpus)
    if len(busy) == len(facts.gpus):
        share = min(gpu.used / gpu.memory for gpu in busy)
        return warning(
            f"{names}: {share:.0%} of the memory in use",
            "the vendor's compiler takes a GPU only below 5 % and falls back to the CPU silently "
            "(a display uses more than that)",
            "Free the GPU, or run with --gpu: hef then sets CUDA_VISIBLE_DEVICES, which skips "
            "that test.",
        )
    return ok(names)


def check_libraries(facts: HostFacts) -> Finding | None:
    """The local engine needs the emulator's libraries in this Python."""
    if facts.emulator_lacks:
        return info(
            f"the local engine lacks {', '.join(facts.emulator_lacks)}",
            "without them the emulator runs in Docker only",
            install_command("emulator"),
        )
    return ok("the emulator's libraries are installed (--engine local works)")


CHECKS: tuple[Check[HostFacts], ...] = (
    Check("host.python", "host", "Python", check_python),
    Check("host.system", "host", "system", check_system),
    Check("host.avx", "host", "processor", check_avx),
    Check("host.memory", "host", "memory", check_memory),
    Check("host.disk", "host", "disk", check_disk),
    Check("host.folder", "host", "project folder", check_folder),
    Check("host.case", "host", "file names", check_case),
    Check("host.msys", "host", "shell", check_msys),
    Check("host.client", "host", "docker command", check_client),
    Check("host.gpu", "host", "GPU", check_gpu),
    Check("host.emulator", "host", "local engine", check_libraries),
)

"""Run one of the looks at the dependencies."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv-dependencies"
LOWEST = ROOT / ".venv-lowest"
BIN = "Scripts" if os.name == "nt" else "bin"
PACKAGES = ("pip-audit>=2.9", "cyclonedx-bom>=7", "uv>=0.8")

#: What the tests of the lowest versions need besides; torch and the emulator's packages are
#: pinned to one version, so those tests would say nothing new.
RUNNERS = (
    "pytest", "pytest-timeout", "pytest-rerunfailures", "pytest-xdist", "hypothesis",
    "pillow",
)  # fmt: skip
EXTRAS = ("store", "tune", "cluster")
#: Tests that need nothing but the dependencies themselves, and meet each of them.
TESTS = (
    "tests/unit/hef", "tests/unit/project/test_ci.py",
    "tests/unit/device", "tests/unit/pipeline/test_store.py", "tests/unit/pipeline/test_cache.py",
    "tests/unit/pipeline/test_locks.py", "tests/unit/pipeline/test_search.py",
    "tests/unit/pipeline/test_tuning.py", "tests/unit/report/test_grounds.py",
    "tests/unit/report/test_verdict.py", "tests/unit/cli/test_command.py",
    "tests/unit/cli/test_documents.py",
)  # fmt: skip
_SHIP = "tests/unit/device/test_commands.py"
#: Those that run the emulator on this machine, whose packages are left out above.
NEED_EMULATOR = (
    "tests/unit/cli/test_command.py::test_wrong_usage_is_exit_2[arguments1-is not a size]",
    f"{_SHIP}::test_the_build_for_the_devices_own_chip_is_shipped_with_what_goes_with_it",
)


def tool(name: str) -> str:
    """Return a tool, installed if it is not there."""
    place = TOOLS / BIN / (f"{name}.exe" if os.name == "nt" else name)
    if not place.exists():
        subprocess.run([sys.executable, "-m", "venv", str(TOOLS)], check=True)
        pip = [str(TOOLS / BIN / "python"), "-m", "pip", "install", "-q", *PACKAGES]
        subprocess.run(pip, check=True)
    return str(place)


def audit() -> int:
    """Look up known holes of every package of this environment, hefsmith itself left out."""
    folders = sorted({one for one in sys.path if one.endswith("site-packages")})
    paths = [word for folder in folders for word in ("--path", folder)]
    words = [tool("pip-audit"), "--progress-spinner", "off", "--format", "json", *paths]
    done = subprocess.run(words, capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(done.stderr or done.stdout, file=sys.stderr)
        return done.returncode or 2
    asked = [one for one in packages if "skip_reason" not in one]
    holes = [(one["name"], one["version"], hole) for one in asked for hole in one["vulns"]]
    for name, version, hole in holes:
        print(f"{name} {version}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or '?'}")
    print(f"{len(asked)} of {len(packages)} packages could be asked about, {len(holes)} holes")
    # Nobody asked is no clean bill: an index that does not serve it looks like that.
    return 1 if holes else 0 if len(asked) > len(packages) // 2 else 2


def bill(target: Path) -> int:
    """Write the bill of materials of this environment, and check it against its schema."""
    words = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--validate"]
    words += ["--output-format", "JSON", "--output-file", str(target), sys.executable]
    return subprocess.run([tool("cyclonedx-py"), "environment", *words]).returncode


def lowest() -> int:
    """Install the lowest versions that ``pyproject.toml`` allows, and run tests with them."""
    uv, python = tool("uv"), str(LOWEST / BIN / "python")
    wanted = LOWEST / "requirements.txt"
    subprocess.run([uv, "venv", "-q", "--clear", "-p", sys.executable, str(LOWEST)], check=True)
    extras = [word for one in EXTRAS for word in ("--extra", one)]
    chosen = ["--resolution", "lowest-direct", *extras, "-o", str(wanted)]
    subprocess.run([uv, "pip", "compile", "-q", *chosen, str(ROOT / "pyproject.toml")], check=True)
    install = [uv, "pip", "install", "-q", "--python", python]
    subprocess.run([*install, "-r", str(wanted), *RUNNERS], check=True)
    subprocess.run([*install, "--no-deps", "-e", str(ROOT)], check=True)
    # Old versions may warn of what newer ones of others deprecate; that is no fault.
    words = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "filterwarnings="]
    left_out = [word for one in NEED_EMULATOR for word in ("--deselect", one)]
    return subprocess.run([*words, *TESTS, *left_out], cwd=ROOT).returncode


def main() -> int:
    """Return the exit code of what was asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.dependencies", description=__doc__)
    parser.add_argument("look", choices=["audit", "bom", "lowest"])
    parser.add_argument("target", nargs="?", type=Path, default=Path("bom.cdx.json"))
    asked = parser.parse_args()
    if asked.look == "audit":
        return audit()
    return bill(asked.target) if asked.look == "bom" else lowest()


if __name__ == "__main__":
    sys.exit(main())

"""Make `.venv` hold exactly the pinned packages; do nothing when it already does.

Decides whether to create the environment and whether to install, by comparing the hash of each
requirements file with the one noted after the last complete install. `make` calls it before
anything else. Standard library only: it runs on the machine's own Python, which may be too old,
so newer syntax stays out.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST = (3, 11)
CANDIDATES = ("python3.11", "python3.12", "python3.13", "python3.14", "python3")
VERSION_CODE = "import sys; print(*sys.version_info[:2])"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="add what tests and checks need")
    wants_dev = parser.parse_args().dev
    if _version(venv_python()) < OLDEST:
        create_venv()
    for name in (
        ("requirements.txt", "requirements-dev.txt") if wants_dev else ("requirements.txt",)
    ):
        install(ROOT / name)


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def create_venv() -> None:
    """Create `.venv`, replacing one that is broken or too old."""
    python = find_python()
    print(f"Creating .venv with {python}", flush=True)
    made = subprocess.run([python, "-m", "venv", "--clear", str(VENV)], check=False)
    if made.returncode:
        sys.exit("Could not create .venv. On Debian or Ubuntu: apt install python3-venv")


def find_python() -> str:
    """A Python that is new enough: this one, else the first on PATH."""
    if sys.version_info >= OLDEST:
        return sys.executable
    for name in CANDIDATES:
        path = shutil.which(name)
        if path and _version(Path(path)) >= OLDEST:
            return path
    wanted = ".".join(map(str, OLDEST))
    sys.exit(f"Gantry needs Python {wanted} or newer. Install it, or say where: make PYTHON=path")


def _version(python: Path) -> tuple[int, ...]:
    """`(major, minor)`, or `()` when `python` is missing or does not start."""
    try:
        said = subprocess.run(
            [str(python), "-c", VERSION_CODE],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(int(part) for part in said.stdout.split())


def install(requirements: Path) -> None:
    """Install one pinned file, unless the note says that very content is installed."""
    note = VENV / f".installed-{requirements.stem}"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if note.exists() and note.read_text() == wanted:
        return
    print(f"Installing {requirements.name} into .venv (once; this can take minutes)", flush=True)
    pip = [str(venv_python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--require-hashes", "-r", requirements.name], cwd=ROOT, check=False
    )
    if done.returncode:
        sys.exit(f"Could not install {requirements.name}: see pip's message above.")
    note.write_text(wanted)


if __name__ == "__main__":
    main()

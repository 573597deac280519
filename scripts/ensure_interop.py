"""Install the independent servers of `make test-interop`, or say in one line what is missing.

They are aimock (MIT) and WireMock (Apache 2.0), pinned in tests/interop/servers/package.json.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

SERVERS = Path(__file__).parents[1] / "tests" / "interop" / "servers"
NEEDED = {"node": "Node.js 20 or newer", "npm": "npm", "java": "Java 11 or newer"}


def main() -> int:
    missing = [words for program, words in NEEDED.items() if shutil.which(program) is None]
    if missing:
        print(
            f"make test-interop needs {' and '.join(missing)}. "
            "On Debian: apt-get install nodejs npm default-jre-headless",
            file=sys.stderr,
        )
        return 1
    if not is_installed():
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"],
            cwd=SERVERS,
            check=True,
        )
    return 0


def is_installed() -> bool:
    """Whether exactly the pinned versions are there."""
    wanted = json.loads((SERVERS / "package.json").read_text("utf-8"))["dependencies"]
    for name, version in wanted.items():
        found = SERVERS / "node_modules" / name / "package.json"
        if not found.is_file() or json.loads(found.read_text("utf-8"))["version"] != version:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())

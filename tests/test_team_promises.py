"""Each promise of docs/team.md names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| .+ \| `(test_\w+)` \|$", re.MULTILINE)


def test_every_promise_to_a_team_is_proven_by_a_test() -> None:
    promised = ROW.findall((ROOT / "docs" / "team.md").read_text())
    folders = ("engine", "store", "browser")
    sources = [path for folder in folders for path in (ROOT / "tests" / folder).glob("test_*.py")]
    tests = {name for path in sources for name in re.findall(r"def (test_\w+)\(", path.read_text())}

    assert len(promised) >= 12
    assert [name for name in promised if name not in tests] == []

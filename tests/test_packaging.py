"""What a newcomer and CI rely on: pins, licences, commands, served options, colours, documents."""

from __future__ import annotations

import ast
import re
import socket
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from streamlit import config as streamlit_config

from scripts import ensure_browser, ensure_venv
from scripts.check_port import problem_with

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent
LOCKED = ("requirements.txt", "requirements-dev.txt")
WRITTEN_FOR_PEOPLE = (
    "README.md",
    "CHANGELOG.md",
    *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
)
COPYLEFT = re.compile(r"\bA?GPL|Affero|GNU General Public", re.IGNORECASE)
OF_ONE_MACHINE = re.compile(
    r"\b(?:pypi\.|pythonhosted)|(?<![\w.])/(?:home|root|Users|opt|mnt)/", re.IGNORECASE
)


def locked(name: str) -> list[tuple[Requirement, int]]:
    """Each requirement of a locked file, with its number of hashes."""
    text = (ROOT / name).read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    entries = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [
        (Requirement(entry.split("--hash=")[0].strip()), entry.count("--hash=sha256:"))
        for entry in entries
    ]


def asked(name: str) -> list[Requirement]:
    lines = (ROOT / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pins(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for requirement, _ in locked(name):
        found.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier))
    return found


@pytest.mark.parametrize("name", LOCKED)
def test_every_locked_requirement_is_one_version_with_hashes(name: str) -> None:
    entries = locked(name)

    loose = [
        str(r)
        for r, hashes in entries
        if not re.fullmatch(r"==[^,*]+", str(r.specifier)) or not hashes
    ]

    assert entries and loose == []


@pytest.mark.parametrize("name", LOCKED)
def test_everything_asked_for_is_locked(name: str) -> None:
    wanted = {canonicalize_name(r.name) for r in asked(name.replace(".txt", ".in"))}

    assert wanted - pins(name).keys() == set()


def test_tests_and_app_agree_on_every_version() -> None:
    app, dev = (pins(name) for name in LOCKED)

    assert {n: (app[n], dev[n]) for n in app.keys() & dev.keys() if app[n] != dev[n]} == {}


@pytest.mark.slow
def test_the_app_imports_only_what_it_asks_for() -> None:
    provided_by = packages_distributions()
    wanted = {
        canonicalize_name(r.name)
        for r in (*asked("requirements.in"), *asked("requirements-extras.in"))
    }

    undeclared = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in app_files()
        for module in imported_modules(path)
        if module not in sys.stdlib_module_names
        and not (ROOT / module).is_dir()
        and not wanted & {canonicalize_name(d) for d in provided_by.get(module, [module])}
    }

    assert undeclared == set()


def app_files() -> Iterator[Path]:
    yield from ROOT.glob("app.py")
    for folder in ("pages", "pipeline"):
        yield from (ROOT / folder).rglob("*.py")


def imported_modules(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_no_installed_dependency_of_the_app_is_gpl_or_agpl() -> None:
    here = [r.name for r, _ in locked("requirements.txt") if not r.marker or r.marker.evaluate()]

    licences = {name: licence_of(name) for name in here}

    assert {n: text for n, text in licences.items() if is_copyleft(text)} == {}
    assert [n for n, text in licences.items() if not text] == []


def is_copyleft(licence: str) -> bool:
    """Whether every choice a licence offers is GPL or AGPL; `A OR B` lets us take either."""
    return all(COPYLEFT.search(choice) for choice in licence.split(" OR "))


def licence_of(name: str) -> str:
    metadata = distribution(name).metadata
    classifiers = [c for c in metadata.get_all("Classifier", []) if c.startswith("License ::")]
    first_lines = [text.strip().partition("\n")[0] for text in metadata.get_all("License", [])]
    return " / ".join(metadata.get_all("License-Expression", []) or classifiers or first_lines)


def test_no_committed_recipe_names_a_registry_or_somebodys_folder() -> None:
    recipes = [
        ROOT / "Makefile",
        ROOT / "pyproject.toml",
        ROOT / ".ci/run",
        *ROOT.glob("requirements*"),
    ]
    recipes += [
        *(ROOT / "scripts").glob("*.py"),
        *(ROOT / ".streamlit").glob("*"),
        *ROOT.glob("*.md"),
    ]
    recipes += (ROOT / "docs").rglob("*.md")

    found = {p.name: OF_ONE_MACHINE.findall(p.read_text()) for p in recipes if p.is_file()}

    assert {name: hits for name, hits in found.items() if hits} == {}


def test_locked_files_leave_the_choice_of_index_to_the_machine() -> None:
    options = [
        line
        for name in LOCKED
        for line in (ROOT / name).read_text().splitlines()
        if line.startswith("-")
    ]

    assert options == []


@cache
def make_targets() -> dict[str, str]:
    """Target → its explanation; empty when it has none."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    found = (re.match(r"([a-z-]+):(?!=)[^#]*(?:## (.*))?$", line) for line in lines)
    return {m[1]: m[2] or "" for m in found if m}


def test_every_public_make_target_explains_itself() -> None:
    unexplained = {name for name, text in make_targets().items() if not text}

    assert unexplained == {"venv", "venv-dev"}


@pytest.mark.parametrize("name", WRITTEN_FOR_PEOPLE)
def test_every_make_command_in_a_document_exists(name: str) -> None:
    named = re.findall(r"(?:`|^\s*)make ([a-z-]+)", (ROOT / name).read_text(), re.MULTILINE)

    assert set(named) - make_targets().keys() == set()


def test_the_readme_starts_with_the_two_commands() -> None:
    first_block = (ROOT / "README.md").read_text().split("```")[1]

    assert re.findall(r"^make (\w+)", first_block, re.MULTILINE) == ["app", "test"]


@pytest.mark.parametrize("name", WRITTEN_FOR_PEOPLE)
def test_links_between_documents_lead_somewhere(name: str) -> None:
    page = ROOT / name
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())

    assert [t for t in targets if not (page.parent / t).exists()] == []


def served_options() -> dict[str, Any]:
    return tomllib.loads((ROOT / ".streamlit/config.toml").read_text())


def flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in options.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_streamlit_knows_every_option_we_set() -> None:
    for option in flat(served_options()):
        streamlit_config.get_option(option)  # raises on a name it does not know


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_can_be_read(theme: str) -> None:
    colours = served_options()["theme"][theme]
    ground = colours["backgroundColor"]
    series = colours["chartCategoricalColors"]

    # the primary button's text is white or near black (pages/look.css), the accent is text as well
    on_accent = {"light": "#ffffff", "dark": "#131417"}[theme]
    assert contrast(on_accent, colours["primaryColor"]) >= 4.5
    assert contrast(colours["primaryColor"], ground) >= 4.5
    assert contrast(colours["textColor"], ground) >= 7
    assert contrast(colours["linkColor"], ground) >= 4.5
    assert [c for c in series if contrast(c, ground) < 3] == []
    assert len(set(series)) == len(series)


def contrast(one: str, other: str) -> float:
    """Contrast ratio as WCAG 2.2 defines it, 1 to 21."""
    darker, lighter = sorted(luminance(c) for c in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_port_in_use_is_said_with_another_to_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        problem = problem_with("127.0.0.1", str(port))

    assert f"Port {port} is in use" in problem and "make app PORT=" in problem
    assert problem_with("127.0.0.1", str(port)) == ""


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "http"])
def test_what_is_not_a_port_is_said(port: str) -> None:
    assert "is not a port" in problem_with("127.0.0.1", port)


def test_an_address_of_another_machine_is_said() -> None:
    assert problem_with("192.0.2.1", "8501").startswith("Cannot listen on 192.0.2.1:8501")


@pytest.mark.slow
def test_a_second_install_of_the_same_pins_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# nothing needed\n")
    monkeypatch.setattr(ensure_venv, "ROOT", tmp_path)
    monkeypatch.setattr(ensure_venv, "VENV", tmp_path / "venv")
    ensure_venv.create_venv()
    ensure_venv.install(requirements)
    first = capfd.readouterr().out

    ensure_venv.install(requirements)

    assert "Installing requirements.txt" in first
    assert capfd.readouterr().out == ""


def test_a_browser_that_was_chosen_but_does_not_start_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ensure_browser.SETTING, str(tmp_path / "missing"))

    with pytest.raises(SystemExit, match="does not start"):
        ensure_browser.find_browser()


PLAIN = ("-p", "no:asyncio")  # the inner run has no settings for it
SKIPPING = """
    import pytest

    @pytest.mark.browser
    def test_a_page(): {body}

    def test_other(): pass
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [("pytest.skip('no browser')", "was skipped"), ("pytest.xfail('x')", "no browser test passed")],
)
def test_ci_fails_when_a_browser_test_did_not_run(
    pytester: pytest.Pytester, body: str, said: str
) -> None:
    pytester.makeini("[pytest]\nmarkers = browser: drives a browser")
    pytester.makepyfile(SKIPPING.format(body=body))

    result = pytester.runpytest_inprocess("-p", "tests.plugins.no_skips", *PLAIN)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"not allowed here: *{said}", "*1 passed*in*"])


def test_ci_passes_when_every_test_ran(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = browser: drives a browser")
    pytester.makepyfile(SKIPPING.format(body="pass"))

    assert (
        pytester.runpytest_inprocess("-p", "tests.plugins.no_skips", *PLAIN).ret
        == pytest.ExitCode.OK
    )

"""Fail the session when a test was skipped, or when no browser test ran. Loaded in CI with `-p`.

A skipped test looks like a passed one in a summary; here it must be seen.
"""

from __future__ import annotations

import pytest

skipped: list[str] = []
browser_tests: set[str] = set()
passed: set[str] = set()


def pytest_configure() -> None:
    for seen in (skipped, browser_tests, passed):
        seen.clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    browser_tests.update(i.nodeid for i in items if i.get_closest_marker("browser"))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        skipped.append(report.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        skipped.append(report.nodeid)
    if report.when == "call" and report.passed:
        passed.add(report.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and complaints():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for complaint in complaints():
        terminalreporter.write_line(f"not allowed here: {complaint}", red=True)


def complaints() -> list[str]:
    found = [f"skipped {nodeid}" for nodeid in skipped]
    return found if browser_tests & passed else [*found, "no browser test passed"]

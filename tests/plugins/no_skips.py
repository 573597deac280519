"""Fail the session when a test was skipped, or when no browser test passed. Loaded in CI with `-p`.

A skipped test looks like a passed one in a summary; here it must be seen. A session that leaves
the browser tests to another one (`-m "not browser"`) is not asked for them.
"""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    wants_browser = config.getoption("markexpr") != "not browser"
    config.pluginmanager.register(NoSkips(wants_browser), "gantry-no-skips")


class NoSkips:
    """One per session: what was skipped, and whether a browser test passed."""

    def __init__(self, wants_browser: bool) -> None:
        self.wants_browser = wants_browser
        self.skipped: list[str] = []
        self.browser_passed = False

    @property
    def complaints(self) -> list[str]:
        found = [f"{nodeid} was skipped" for nodeid in self.skipped]
        if self.wants_browser and not self.browser_passed:
            found.append("no browser test passed")
        return found

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skipped.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped.append(report.nodeid)
        if report.when == "call" and report.passed:
            # its marks, since the session that runs in several processes collects nothing itself
            self.browser_passed |= "browser" in report.keywords

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK and self.complaints:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for complaint in self.complaints:
            terminalreporter.write_line(f"not allowed here: {complaint}", red=True)

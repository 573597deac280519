"""The real app in-process: one client for all of this folder, because an app starts once a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from pages._runtime import close_runtime


@pytest.fixture(scope="package")
def started_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GANTRY_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        environment.delenv("OPENAI_API_KEY", raising=False)
        environment.delenv("DATABASE_URL", raising=False)
        import app

        with TestClient(app.app) as client:
            yield client
        close_runtime()


@pytest.fixture
def client(
    started_client: TestClient, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> TestClient:
    """The client; a module's `OWNERS` says how the app tells its visitors apart."""
    monkeypatch.setenv("GANTRY_OWNERS", getattr(request.module, "OWNERS", "local"))
    started_client.cookies.clear()
    return started_client

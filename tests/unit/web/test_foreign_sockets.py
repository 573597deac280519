"""A run's socket and the admission route, asked by somebody else; and the cookie that tells them apart."""

from __future__ import annotations

from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from pages._runtime import get_runtime
from pipeline.models import RunSpec
from pipeline.owners import COOKIE_NAME, Owners, Visit, is_cookie, new_cookie, owner_of, share_hash
from pipeline.web import access
from pipeline.web.access import Grant, sign
from pipeline.web.hub import CLOSE_FINISHED, CLOSE_UNKNOWN

pytestmark = pytest.mark.slow

OWNERS = "cookie"
MISSING = "A" * 22
MINE, THEIRS = new_cookie(), new_cookie()


def owner(cookie: str) -> str:
    found = owner_of(Owners.COOKIE, Visit(cookie=cookie))
    assert found is not None
    return found


@pytest.fixture
def theirs(client: TestClient) -> str:
    """A run of the other browser."""
    run_id = get_runtime().submit(RunSpec(topic="Quokkas", speed="instant"), owner(THEIRS))
    get_runtime().wait(run_id, 60)
    return run_id


@pytest.fixture
def mine(client: TestClient) -> str:
    run_id = get_runtime().submit(RunSpec(topic="Bees", speed="instant"), owner(MINE))
    get_runtime().wait(run_id, 60)
    return run_id


def heard(client: TestClient, run_id: str, token: str, cookie: str = MINE) -> tuple[int, list[Any]]:
    """The close code, and all messages before it."""
    messages: list[Any] = []
    with (
        client.websocket_connect(
            f"/api/runs/{run_id}/ws?token={token}", headers={"Cookie": f"{COOKIE_NAME}={cookie}"}
        ) as socket,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        while True:
            messages.append(socket.receive_json())
    return closed.value.code, messages


def signed(grant: Grant) -> str:
    return sign(grant, get_runtime().signing_secret())


def too_old(grant: Grant) -> str:
    class Earlier(TimestampSigner):
        def get_timestamp(self) -> int:
            return super().get_timestamp() - access.TOKEN_LIFE_S - 1

    secret = get_runtime().signing_secret()
    signer = URLSafeTimedSerializer(secret, salt=access._SALT, signer=Earlier)
    return signer.dumps([grant.run_id, grant.owner, grant.share])


def withdrawn(run_id: str) -> str:
    token = get_runtime().share(run_id, owner(THEIRS))
    get_runtime().unshare(run_id, owner(THEIRS))
    return signed(Grant(run_id, share=share_hash(token)))


TOKENS: dict[str, Callable[[str], str]] = {
    "no token": lambda _run: "",
    "nonsense": lambda _run: "x.y.z",
    "of the visitor, for that run": lambda run: signed(Grant(run, owner(MINE))),
    "of the owner, in another browser": lambda run: signed(Grant(run, owner(THEIRS))),
    "of the owner, too old": lambda run: too_old(Grant(run, owner(THEIRS))),
    "of the command line": lambda run: signed(Grant(run, "local")),
    "of another installation": lambda run: sign(Grant(run, owner(THEIRS)), b"other"),
    "of a link that never was": lambda run: signed(Grant(run, share=share_hash("C" * 43))),
    "of nobody": lambda run: signed(Grant(run)),
}


@pytest.mark.parametrize("case", list(TOKENS))
def test_a_foreign_runs_socket_closes_like_a_missing_ones(
    client: TestClient, theirs: str, case: str
) -> None:
    of_foreign = heard(client, theirs, TOKENS[case](theirs))
    of_missing = heard(client, MISSING, TOKENS[case](MISSING))

    assert of_foreign == of_missing == (CLOSE_UNKNOWN, [])


def test_a_token_opens_its_own_run_only(client: TestClient, theirs: str, mine: str) -> None:
    assert heard(client, theirs, signed(Grant(mine, owner(MINE)))) == (CLOSE_UNKNOWN, [])
    assert heard(client, theirs, withdrawn(theirs)) == (CLOSE_UNKNOWN, [])


def test_the_owner_and_whoever_has_the_link_are_let_in(client: TestClient, theirs: str) -> None:
    link = share_hash(get_runtime().share(theirs, owner(THEIRS)))

    by_owner = heard(client, theirs, signed(Grant(theirs, owner(THEIRS))), THEIRS)
    by_link = heard(client, theirs, signed(Grant(theirs, share=link)), MINE)

    get_runtime().unshare(theirs, owner(THEIRS))
    assert (by_owner[0], by_link[0]) == (CLOSE_FINISHED, CLOSE_FINISHED)
    assert by_owner[1][0]["type"] == by_link[1][0]["type"] == "snapshot"


@pytest.mark.slow
def test_a_link_that_is_withdrawn_closes_the_sockets_it_opened(client: TestClient) -> None:
    runtime = get_runtime()
    run_id = runtime.submit(RunSpec(topic="Tides", speed="realistic"), owner(THEIRS))
    link = share_hash(runtime.share(run_id, owner(THEIRS)))
    token = signed(Grant(run_id, share=link))

    with (
        client.websocket_connect(f"/api/runs/{run_id}/ws?token={token}") as socket,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        kinds = [socket.receive_json()["type"]]
        runtime.unshare(run_id, owner(THEIRS))
        while True:
            kinds.append(socket.receive_json()["type"])

    still_running = runtime.run(run_id, owner(THEIRS))
    runtime.cancel(run_id, owner(THEIRS))
    assert closed.value.code == CLOSE_UNKNOWN
    assert still_running is not None
    assert not still_running.status.is_final
    assert "admission" not in kinds  # gates are shared with other runs: not a stranger's business


def gates(client: TestClient, cookie: str) -> tuple[int, str]:
    response = client.get("/api/admission", headers={"Cookie": f"{COOKIE_NAME}={cookie}"})
    return response.status_code, response.text


def test_admission_names_nothing_of_another_browsers_runs(client: TestClient, theirs: str) -> None:
    assert gates(client, new_cookie()) == (200, '{"gates":[]}')
    assert "gantry-demo" in gates(client, THEIRS)[1]


def test_who_cannot_be_told_apart_may_not_ask_for_admission(
    client: TestClient, theirs: str
) -> None:
    status, text = gates(client, "no-cookie-of-ours")

    assert status == 403
    assert "gantry-demo" not in text


def cookie_of(client: TestClient, path: str = "/", **headers: str) -> SimpleCookie:
    client.cookies.clear()
    response = client.get(path, headers={name.replace("_", "-"): v for name, v in headers.items()})
    return SimpleCookie(response.headers.get("set-cookie", ""))


@pytest.mark.parametrize("path", ["/", "/history"])
def test_the_page_brings_a_cookie_no_script_can_read(client: TestClient, path: str) -> None:
    cookie = cookie_of(client, path)[COOKIE_NAME]

    assert is_cookie(cookie.value)
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "lax"
    assert cookie["path"] == "/"
    assert not cookie["secure"]


@pytest.mark.parametrize("scheme", ["https", "https, http"])
def test_under_https_it_never_travels_without(client: TestClient, scheme: str) -> None:
    assert cookie_of(client, x_forwarded_proto=scheme)[COOKIE_NAME]["secure"] is True


def test_a_cookie_of_ours_is_kept_and_any_other_replaced(client: TestClient) -> None:
    kept = cookie_of(client, cookie=f"{COOKIE_NAME}={MINE}")[COOKIE_NAME].value
    replaced = cookie_of(client, cookie=f"{COOKIE_NAME}=local")[COOKIE_NAME].value

    assert kept == MINE
    assert is_cookie(replaced)


def test_a_page_the_browser_still_has_brings_one_too(client: TestClient) -> None:
    etag = client.get("/").headers["etag"]
    client.cookies.clear()

    answer = client.get("/", headers={"If-None-Match": etag, "Accept": "text/html,*/*"})

    assert answer.status_code == 304
    assert COOKIE_NAME in SimpleCookie(answer.headers["set-cookie"])


def test_what_is_no_page_brings_none(client: TestClient) -> None:
    assert not cookie_of(client, "/healthz")


def test_where_nobody_is_told_apart_by_a_cookie_there_is_none(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTRY_OWNERS", "local")

    assert COOKIE_NAME not in cookie_of(client)

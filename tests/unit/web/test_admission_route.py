"""`/api/admission` where people sign in: the page's token opens it, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from starlette.testclient import TestClient

from pages._runtime import get_runtime
from pipeline.models import RunSpec
from pipeline.owners import COOKIE_NAME, Owners, SignedIn, Visit, new_cookie, owner_of
from pipeline.web import access
from pipeline.web.access import Grant, read, sign, sign_owner

pytestmark = pytest.mark.slow

OWNERS = "login"
TOPIC = "Quokkas"


def person(name: str) -> str:
    found = owner_of(Owners.LOGIN, Visit(user=SignedIn("https://issuer.example", name)))
    assert found is not None
    return found


ANN, BOB = person("ann"), person("bob")


@pytest.fixture
def of_ann(client: TestClient) -> str:
    """A finished run of Ann's, whose calls passed a gate."""
    run_id = get_runtime().submit(RunSpec(topic=TOPIC, speed="instant"), ANN)
    get_runtime().wait(run_id, 60)
    return run_id


def asked(client: TestClient, token: str | None, cookie: str = "") -> tuple[int, str]:
    address = "/api/admission" if token is None else f"/api/admission?token={token}"
    headers = {"Cookie": f"{COOKIE_NAME}={cookie}"} if cookie else {}
    response = client.get(address, headers=headers)
    assert response.headers["cache-control"] == "no-store"
    return response.status_code, response.text


def secret() -> bytes:
    return get_runtime().signing_secret()


def too_old(owner: str) -> str:
    class Earlier(TimestampSigner):
        def get_timestamp(self) -> int:
            return super().get_timestamp() - access.TOKEN_LIFE_S - 1

    signer = URLSafeTimedSerializer(secret(), salt=access._ADMISSION_SALT, signer=Earlier)
    return signer.dumps(owner)


def test_the_page_s_token_shows_the_gates_of_whoever_signed_in(
    client: TestClient, of_ann: str
) -> None:
    status, text = asked(client, sign_owner(ANN, secret()))

    assert status == 200
    assert "gantry-demo-instant" in text
    assert TOPIC not in text
    assert asked(client, sign_owner(BOB, secret())) == (200, '{"gates":[]}')


TOKENS: dict[str, Callable[[str], str | None]] = {
    "missing": lambda _run: None,
    "empty": lambda _run: "",
    "nonsense": lambda _run: "x.y.z",
    "expired": lambda _run: too_old(ANN),
    "of another installation": lambda _run: sign_owner(ANN, b"other"),
    "of her run's socket": lambda run: sign(Grant(run, ANN), secret()),
    "of nobody": lambda _run: sign_owner("", secret()),
}


@pytest.mark.parametrize("case", list(TOKENS))
def test_any_other_token_is_refused_in_the_same_words(
    client: TestClient, of_ann: str, case: str
) -> None:
    status, text = asked(client, TOKENS[case](of_ann))

    assert status == 403
    assert text == asked(client, None)[1]
    assert "gantry-demo" not in text
    assert "gates" not in text


def test_a_token_for_the_gates_opens_no_runs_socket(client: TestClient) -> None:
    assert read(sign_owner(ANN, secret()), secret()) is None


def test_a_token_from_somebody_else_s_browser_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTRY_OWNERS", "cookie")
    mine, theirs = new_cookie(), new_cookie()
    token = sign_owner(str(owner_of(Owners.COOKIE, Visit(cookie=theirs))), secret())

    assert asked(client, token, theirs)[0] == 200
    assert asked(client, token, mine)[0] == 403
    assert asked(client, "x.y.z", mine)[0] == 403  # though the cookie alone would do
    assert asked(client, None, mine)[0] == 200

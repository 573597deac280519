"""Signing in at a real provider: whose runs are whose, and tokens that let nobody in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ACTION_MS, free_port, served
from tests.browser.panels import take_ones_time
from tests.oidc_provider import Claims, OidcProvider

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with OidcProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def guarded(provider: OidcProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an app on which people sign in; nothing else is set."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    secrets = tmp_path_factory.mktemp("secrets") / "secrets.toml"
    secrets.write_text(provider.secrets_toml(base))
    with served(tmp_path_factory, port, STREAMLIT_SECRETS_FILES=str(secrets)):
        yield base


@pytest.fixture
def visit(chromium: Browser, guarded: str) -> Iterator[Callable[[], Page]]:
    """Opens the app in a browser that has never been there."""
    contexts = []

    def open_page() -> Page:
        context = chromium.new_context(base_url=guarded)
        context.set_default_timeout(ACTION_MS)
        contexts.append(context)
        page = context.new_page()
        page.goto("/")
        return page

    yield open_page
    for context in contexts:
        context.close()


def sign_in(page: Page, provider: OidcProvider, who: str) -> None:
    provider.who = who
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".st-key-account")).to_contain_text(f"{who}@")


def test_a_run_is_seen_by_whoever_signed_in_and_by_nobody_else(
    visit: Callable[[], Page], provider: OidcProvider
) -> None:
    ann, bob, nobody = visit(), visit(), visit()
    sign_in(ann, provider, "ann")
    sign_in(bob, provider, "bob")

    ann.locator(".st-key-sample_1 button").click()
    expect(ann).to_have_url(re.compile(r"[?&]run="))
    expect(ann.locator("[data-agent]")).to_have_count(10)  # the socket let her in
    for page in (bob, nobody):
        page.goto(ann.url)

    expect(bob.get_by_text("This run is not known here")).to_be_visible()
    expect(nobody.get_by_role("button", name="Sign in")).to_be_visible()
    expect(nobody.locator("[data-agent]")).to_have_count(0)
    again = visit()
    sign_in(again, provider, "ann")
    again.goto("/history")
    expect(again.locator("[class*=st-key-open_]")).to_have_count(1)


def test_signing_out_leaves_nothing_to_see(
    visit: Callable[[], Page], provider: OidcProvider
) -> None:
    page = visit()
    sign_in(page, provider, "carol")

    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.goto("/history")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.locator(".st-key-history_search")).to_have_count(0)


def test_the_panel_s_link_shows_the_gates_to_whoever_signed_in(
    visit: Callable[[], Page], provider: OidcProvider
) -> None:
    page = visit()
    page.clock.install()
    sign_in(page, provider, "dora")
    take_ones_time(page)
    page.locator(".st-key-sample_1 button").click()
    page.locator(".gl-admission summary").click()

    with page.context.expect_page() as fresh:
        page.get_by_role("link", name="As JSON").click()
    expect(fresh.value.locator("body")).to_contain_text('"model":"gantry-demo-realistic"')
    page.clock.fast_forward("01:00")  # the token is too old: the page is asked for another
    with page.context.expect_page() as renewed:
        page.get_by_role("link", name="As JSON").click()
    expect(renewed.value.locator("body")).to_contain_text('"model":"gantry-demo-realistic"')

    assert renewed.value.url != fresh.value.url
    renewed.value.goto("/api/admission")
    expect(renewed.value.locator("body")).to_contain_text("It is not known who is asking")


BAD_CLAIMS: dict[str, Callable[[Claims], Claims]] = {
    "issuer": lambda claims: claims | {"iss": "https://elsewhere.example"},
    "audience": lambda claims: claims | {"aud": "another-app"},
    "audience, made for us": lambda claims: claims | {"aud": "another-app", "azp": "gantry-tests"},
    "nonce": lambda claims: claims | {"nonce": "of-another-sign-in"},
    "expired": lambda claims: claims | {"exp": claims["iat"] - 3600},
    "no subject": lambda claims: {k: v for k, v in claims.items() if k != "sub"},
}


@pytest.mark.parametrize("wrong", [*BAD_CLAIMS, "forged", "unsigned"])
def test_a_token_that_is_wrong_lets_nobody_in(
    visit: Callable[[], Page],
    provider: OidcProvider,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
) -> None:
    if wrong in BAD_CLAIMS:
        monkeypatch.setattr(provider, "claims", BAD_CLAIMS[wrong])
    else:
        monkeypatch.setattr(provider, "sign", getattr(provider, wrong))
    page, before = visit(), provider.exchanges

    with page.expect_navigation(url=re.compile(r"/$")):  # there, back, and no further
        page.get_by_role("button", name="Sign in").click()
    door = page.get_by_role("button", name=re.compile("Sign (in|out)"))
    expect(door).to_be_visible()
    page.goto("/history")

    expect(door).to_be_visible()
    expect(page.locator(".st-key-history_search")).to_have_count(0)
    expect(page.locator(".st-key-account")).to_have_count(0)
    assert provider.exchanges > before

"""A small OpenID Connect provider on loopback: discovery, authorize, token, keys.

It signs `who` in without asking, and can be told to hand out tokens that no client may take.

    with OidcProvider() as provider:
        provider.who = "ann"
        provider.claims = lambda claims: claims | {"aud": "another-app"}
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "gantry-tests", "client-secret-for-tests"
Claims = dict[str, Any]


class OidcProvider:
    def __init__(self) -> None:
        self.who = "ann"
        self.claims: Callable[[Claims], Claims] = lambda claims: claims
        self.sign: Callable[[Claims], str] = self.signed
        self.exchanges = 0
        self.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self._codes: dict[str, tuple[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._get(self)

            def do_POST(self) -> None:
                provider._token(self)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="oidc")
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> OidcProvider:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def secrets_toml(self, app: str) -> str:
        """What the app at that address needs to sign people in here."""
        return (
            "[auth]\n"
            f'redirect_uri = "{app}/oauth2callback"\n'
            f'cookie_secret = "{secrets.token_hex(32)}"\n'
            f'client_id = "{CLIENT_ID}"\n'
            f'client_secret = "{CLIENT_SECRET}"\n'
            f'server_metadata_url = "{self.issuer}/.well-known/openid-configuration"\n'
        )

    def signed(self, claims: Claims, key: RSAKey | None = None) -> str:
        return jwt.encode({"alg": "RS256", "kid": "k1"}, claims, key or self.key)

    def forged(self, claims: Claims) -> str:
        """Signed with a key that only says it is ours."""
        other = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        return self.signed(claims, other)

    def unsigned(self, claims: Claims) -> str:
        """`alg: none`."""
        parts = [_base64({"alg": "none", "typ": "JWT"}), _base64(claims), ""]
        return ".".join(parts)

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        if url.path == "/authorize":
            self._authorize(request, {k: v[0] for k, v in parse_qs(url.query).items()})
        elif url.path == "/keys":
            _answer(request, {"keys": [self.key.as_dict(private=False)]})
        elif url.path.endswith("/openid-configuration"):
            _answer(
                request,
                {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "jwks_uri": f"{self.issuer}/keys",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                    "code_challenge_methods_supported": ["S256"],
                },
            )
        else:
            request.send_error(404)

    def _authorize(self, request: BaseHTTPRequestHandler, asked: dict[str, str]) -> None:
        code = secrets.token_urlsafe(16)
        self._codes[code] = (self.who, asked["nonce"])
        back = urlencode({"code": code, "state": asked["state"]})
        request.send_response(302)
        request.send_header("Location", f"{asked['redirect_uri']}?{back}")
        request.end_headers()

    def _token(self, request: BaseHTTPRequestHandler) -> None:
        body = parse_qs(request.rfile.read(int(request.headers["Content-Length"])).decode())
        who, nonce = self._codes.pop(body["code"][0])
        self.exchanges += 1
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": f"id-of-{who}",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 3600,
            "nonce": nonce,
            "email": f"{who}@example.org",
        }
        _answer(
            request,
            {
                "access_token": secrets.token_urlsafe(16),
                "token_type": "Bearer",
                "expires_in": 3600,
                "id_token": self.sign(self.claims(claims)),
            },
        )


def _base64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _answer(request: BaseHTTPRequestHandler, value: object) -> None:
    body = json.dumps(value).encode()
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)

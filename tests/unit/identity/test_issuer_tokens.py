"""JWTs of an issuer: which sign somebody in, and which must not."""

import base64
import json
import time
from dataclasses import dataclass, field
from typing import cast

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from structlog.testing import capture_logs

from diary_mcp.domain.errors import UnavailableError
from diary_mcp.domain.fields import AgentName
from diary_mcp.identity.issuer_keys import IssuerKeys, fetch_keys
from diary_mcp.identity.issuer_tokens import Issuer, IssuerTokenReader
from diary_mcp.service.agents.authentication import Identity, TokenRefusedError

pytestmark = pytest.mark.anyio

ISSUER = "https://issuer.example"
AUDIENCE = "https://diary.example/mcp"


@dataclass
class PublishedKeys:
    """What the issuer publishes, with a clock that only the test moves."""

    keys: list[Key] = field(default_factory=list[Key])
    now_s: float = 1_000
    fetches: int = 0
    is_down: bool = False

    async def fetch(self) -> bytes:
        self.fetches += 1
        if self.is_down:
            raise OSError("down")
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()

    def reader(self, agent_claim: str = "sub") -> IssuerTokenReader:
        keys = IssuerKeys(self.fetch, now_s=lambda: self.now_s)
        return IssuerTokenReader(Issuer(ISSUER, AUDIENCE, agent_claim), keys)


def a_key(kid: str = "k1") -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid})


KEY = a_key()


def claims(changes: dict[str, object]) -> dict[str, object]:
    """Claims that sign alice in, but for `changes`; `None` leaves one out."""
    whole = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "exp": int(time.time()) + 600,
        "scope": "openid diary:read diary:write",
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def signed(
    key: Key = KEY,
    alg: str = "ES256",
    *,
    kid: str | None = "k1",
    changes: dict[str, object] | None = None,
) -> str:
    header = {"alg": alg} if kid is None else {"alg": alg, "kid": kid}
    return jwt.encode(header, claims(changes or {}), key, algorithms=[alg])


def unsigned(header: dict[str, object]) -> str:
    parts = (json.dumps(part).encode() for part in (header, claims({})))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


async def test_a_token_of_the_issuer_signs_its_subject_in() -> None:
    identity = await PublishedKeys([KEY]).reader().identify(signed())

    assert identity == Identity(
        AgentName("alice"), frozenset({"diary:read", "diary:write"}), ISSUER
    )


def claim_names(value: object) -> str | None:
    """A case's name; times differ between the processes that collect the tests."""
    return "-".join(map(str, cast("dict[str, object]", value))) if isinstance(value, dict) else None


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (RSAKey.generate_key(2048, {"kid": "k1"}), "RS256"),
        (RSAKey.generate_key(2048, {"kid": "k1"}), "PS512"),
        (ECKey.generate_key("P-384", {"kid": "k1"}), "ES384"),
        (OKPKey.generate_key("Ed25519", {"kid": "k1"}), "Ed25519"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_usual_algorithms_are_understood(key: Key, alg: str) -> None:
    identity = await PublishedKeys([key]).reader().identify(signed(key, alg))

    assert identity.agent == "alice"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"aud": "https://other.example/mcp"},
        {"aud": ["https://other.example/mcp"]},
        {"aud": []},
        {"aud": None},
        {"exp": int(time.time()) - 3_600},
        {"exp": "tomorrow"},
        {"exp": None},
        {"nbf": int(time.time()) + 3_600},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "Alice"},
        {"sub": "alice\n"},
        {"sub": "group:team"},
        {"sub": "a" * 65},
    ],
    ids=claim_names,
)
async def test_a_token_with_another_claim_is_refused(changes: dict[str, object]) -> None:
    reader = PublishedKeys([KEY]).reader()

    with pytest.raises(TokenRefusedError):
        await reader.identify(signed(changes=changes))


async def test_one_audience_of_several_is_enough() -> None:
    reader = PublishedKeys([KEY]).reader()

    identity = await reader.identify(signed(changes={"aud": ["https://other.example", AUDIENCE]}))

    assert identity.agent == "alice"


def forgeries() -> dict[str, str]:
    public = KEY.as_dict(private=False)
    hmac_of_public = OctKey.import_key(json.dumps(public), {"kid": "k1"})
    whole = signed()
    head, body, signature = whole.split(".")
    mallory = base64.urlsafe_b64encode(json.dumps(claims({"sub": "mallory"})).encode()).rstrip(b"=")
    return {
        "alg none": unsigned({"alg": "none", "kid": "k1"}),
        "alg None": unsigned({"alg": "None", "kid": "k1"}),
        "no alg": unsigned({"kid": "k1"}),
        "alg of another type": unsigned({"alg": ["ES256"], "kid": "k1"}),
        "HMAC with the public key": signed(hmac_of_public, "HS256"),
        "another key of the same id": signed(a_key("k1")),
        "another key that the token carries": jwt.encode(
            {"alg": "ES256", "kid": "k1", "jwk": a_key().as_dict(private=False)},
            claims({}),
            a_key(),
            algorithms=["ES256"],
        ),
        "other claims under the signature": f"{head}.{mallory.decode()}.{signature}",
        "no signature": f"{head}.{body}.",
        "no parts": "abc",
        "empty parts": "..",
        "five parts": "a.b.c.d.e",
        "no base64": "!.!.!",
        "no ASCII": "é.é.é",
        "no object": jws.serialize_compact({"alg": "ES256", "kid": "k1"}, b"[1]", KEY),
        "nested without end": "eyJ" + "W" * 3_000 + "." + "e30" + ".",
        "long": whole + "A" * 200_000,
    }


@pytest.mark.parametrize("forgery", forgeries().values(), ids=forgeries().keys())
async def test_a_forgery_is_refused(forgery: str) -> None:
    reader = PublishedKeys([KEY]).reader()

    with pytest.raises(TokenRefusedError):
        await reader.identify(forgery)


async def test_a_symmetric_key_of_the_issuer_verifies_nothing() -> None:
    shared = OctKey.generate_key(256, {"kid": "k1"})
    published = json.dumps({"keys": [shared.as_dict(private=True)]}).encode()

    async def fetch() -> bytes:
        return published

    reader = IssuerTokenReader(Issuer(ISSUER, AUDIENCE, "sub"), IssuerKeys(fetch))

    with pytest.raises(TokenRefusedError):
        await reader.identify(signed(shared, "HS256"))


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt", "JWT"])
async def test_an_access_token_by_any_of_its_names_is_taken(kind: str) -> None:
    token = jwt.encode({"alg": "ES256", "kid": "k1", "typ": kind}, claims({}), KEY)

    assert (await PublishedKeys([KEY]).reader().identify(token)).agent == "alice"


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "logout+jwt"},
        {"typ": "dpop+jwt"},
        {"typ": "secevent+jwt"},
        {"typ": ""},
        {"crit": ["kid"]},
        {"crit": ["b64"], "b64": True},
    ],
    ids=str,
)
async def test_a_token_that_is_something_else_is_refused(header: dict[str, object]) -> None:
    whole = {"alg": "ES256", "kid": "k1"} | header
    registry = jws.JWSRegistry(strict_check_header=False)
    content = json.dumps(claims({})).encode()
    token = jws.serialize_compact(whole, content, KEY, registry=registry)

    with pytest.raises(TokenRefusedError):
        await PublishedKeys([KEY]).reader().identify(token)


@pytest.mark.parametrize("bound_to", [{"jkt": "x"}, {"x5t#S256": "x"}, {}, None])
async def test_a_token_that_is_bound_to_a_key_is_no_bearer_token(bound_to: object) -> None:
    whole = claims({}) | {"cnf": bound_to}
    token = jwt.encode({"alg": "ES256", "kid": "k1"}, whole, KEY)

    with pytest.raises(TokenRefusedError):
        await PublishedKeys([KEY]).reader().identify(token)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_a_short_rsa_key_of_the_issuer_verifies_nothing() -> None:
    short = RSAKey.generate_key(1024, {"kid": "k1"})

    with pytest.raises(TokenRefusedError):
        await PublishedKeys([short]).reader().identify(signed(short, "RS256"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://proxy:1080"),
        ("HTTPS_PROXY", "http://proxy:99999"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem"),
    ],
)
async def test_an_environment_that_shuts_the_issuer_out_is_told_in_the_log(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    keys = IssuerKeys(lambda: fetch_keys("https://issuer.example/keys"))
    reader = IssuerTokenReader(Issuer(ISSUER, AUDIENCE, "sub"), keys)

    with capture_logs() as logs, pytest.raises(UnavailableError):
        await reader.identify(signed())

    assert variable in logs[0]["reason"]


async def test_keys_for_encryption_and_of_unknown_kinds_are_passed_over() -> None:
    encryption = a_key("e1")
    document = {
        "keys": [
            {"kty": "AKP", "kid": "future", "pub": "x"},
            {"kty": "EC", "kid": "broken", "crv": "P-256"},
            {**encryption.as_dict(private=False), "use": "enc"},
            KEY.as_dict(private=False),
        ]
    }

    async def fetch() -> bytes:
        return json.dumps(document).encode()

    reader = IssuerTokenReader(Issuer(ISSUER, AUDIENCE, "sub"), IssuerKeys(fetch))

    assert (await reader.identify(signed())).agent == "alice"
    with pytest.raises(TokenRefusedError):
        await reader.identify(signed(encryption, kid="e1"))


async def test_the_agent_is_taken_from_the_claim_that_was_configured() -> None:
    reader = PublishedKeys([KEY]).reader("client_id")

    identity = await reader.identify(signed(changes={"sub": "7f3c", "client_id": "bob"}))

    assert identity.agent == "bob"
    with pytest.raises(TokenRefusedError):
        await reader.identify(signed(changes={"sub": "alice"}))


@pytest.mark.parametrize(
    ("changes", "scopes"),
    [
        ({"scope": "diary:read"}, {"diary:read"}),
        ({"scope": None, "scp": ["diary:share", "other"]}, {"diary:share"}),
        ({"scope": None, "scp": "diary:read diary:share"}, {"diary:read", "diary:share"}),
        ({"scope": "openid profile"}, set[str]()),
        ({"scope": None}, set[str]()),
        ({"scope": {"diary:read": True}}, set[str]()),
    ],
    ids=["one", "scp list", "scp text", "others only", "none", "no text"],
)
async def test_scopes_are_those_of_the_diary(changes: dict[str, object], scopes: set[str]) -> None:
    identity = await PublishedKeys([KEY]).reader().identify(signed(changes=changes))

    assert identity.scopes == scopes


async def test_a_rotated_key_is_fetched_when_a_token_names_it() -> None:
    issuer = PublishedKeys([KEY])
    reader = issuer.reader()
    await reader.identify(signed())
    new = a_key("k2")
    issuer.keys = [new]

    identity = await reader.identify(signed(new, kid="k2"))

    assert identity.agent == "alice"
    with pytest.raises(TokenRefusedError):
        await reader.identify(signed())


async def test_unknown_keys_make_one_fetch_at_a_time() -> None:
    issuer = PublishedKeys([KEY])
    reader = issuer.reader()

    for number in range(20):
        with pytest.raises(TokenRefusedError):
            await reader.identify(signed(a_key(), kid=f"unknown-{number}"))

    assert issuer.fetches == 2


async def test_keys_are_kept_for_five_minutes_and_then_fetched_again() -> None:
    issuer = PublishedKeys([KEY])
    reader = issuer.reader()
    await reader.identify(signed())
    issuer.now_s += 299
    await reader.identify(signed())
    fetches_before = issuer.fetches
    issuer.now_s += 2
    issuer.keys = [a_key("k2")]

    with pytest.raises(TokenRefusedError):
        await reader.identify(signed())

    assert fetches_before == 1


async def test_an_issuer_that_is_away_for_a_while_does_not_lock_its_agents_out() -> None:
    issuer = PublishedKeys([KEY])
    reader = issuer.reader()
    await reader.identify(signed())
    issuer.is_down = True

    issuer.now_s += 3_000
    assert (await reader.identify(signed())).agent == "alice"

    issuer.now_s += 1_000
    with pytest.raises(UnavailableError):
        await reader.identify(signed())


async def test_an_issuer_that_never_answered_is_unavailable_and_tried_again() -> None:
    issuer = PublishedKeys([KEY], is_down=True)
    reader = issuer.reader()
    with pytest.raises(UnavailableError):
        await reader.identify(signed())
    issuer.is_down = False
    issuer.now_s += 11

    assert (await reader.identify(signed())).agent == "alice"


async def test_a_token_without_a_key_id_fits_only_a_single_key() -> None:
    alone = PublishedKeys([KEY]).reader()
    among_others = PublishedKeys([KEY, a_key("k2")]).reader()

    assert (await alone.identify(signed(kid=None))).agent == "alice"
    with pytest.raises(TokenRefusedError):
        await among_others.identify(signed(kid=None))

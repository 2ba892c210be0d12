"""JWTs of a configured issuer, read as RFC 9068 and RFC 8725 ask."""

import re
from dataclasses import dataclass
from typing import cast

from joserfc import jws, jwt
from joserfc.errors import ClaimError, JoseError

from diary_mcp.domain.fields import NAME_PATTERN, AgentName
from diary_mcp.domain.scopes import TokenScope, known_scopes
from diary_mcp.identity.issuer_keys import IssuerKeys
from diary_mcp.service.agents.authentication import Identity, TokenRefusedError

# Signatures with a private key only: with `none` or HMAC, who can verify could also sign.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519",
)  # fmt: skip
# RFC 9068's, and what issuers say that came before it; never that of a logout or a proof.
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})
_CLOCK_SKEW_S = 30
_REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)


@dataclass(frozen=True)
class Issuer:
    """Whose tokens are accepted, and what they must say."""

    name: str
    audience: str
    agent_claim: str


class IssuerTokenReader:
    """`TokenReader` of the issuer's JWTs."""

    def __init__(self, issuer: Issuer, keys: IssuerKeys) -> None:
        self._issuer = issuer
        self._keys = keys
        self._claims = jwt.JWTClaimsRegistry(
            leeway=_CLOCK_SKEW_S,
            iss={"essential": True, "value": issuer.name},
            aud={"essential": True, "value": issuer.audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def identify(self, token: str) -> Identity:
        """The agent that the token names.

        Raises:
            TokenRefusedError: it is no JWT, not signed by the issuer, not for this server, not
                valid now, or names no agent.
            UnavailableError: the issuer's keys cannot be fetched.
        """
        claims = await self._verified(token)
        return Identity(
            _agent(claims, self._issuer.agent_claim), _scopes(claims), issuer=self._issuer.name
        )

    async def _verified(self, token: str) -> dict[str, object]:
        try:
            raw = token.encode("ascii")
            header = cast(
                "dict[str, object]", jws.extract_compact(raw, registry=_REGISTRY).headers()
            )
            _REGISTRY.get_alg(str(header.get("alg")))
            _require_bearer_header(header)
            kid = header.get("kid")
            key = await self._keys.find(kid if isinstance(kid, str) else None)
            if key is None:
                raise TokenRefusedError(
                    "The token is signed with a key that the issuer does not have."
                )
            claims = cast("dict[str, object]", jwt.decode(raw, key, registry=_REGISTRY).claims)
            self._claims.validate(claims)
            if "cnf" in claims:
                raise TokenRefusedError(
                    "The token is bound to a key (cnf), and only bearer tokens are accepted."
                )
        except ClaimError as error:
            raise TokenRefusedError(f"The token's claim {error.claim} does not fit.") from error
        except (JoseError, ValueError, RecursionError) as error:
            raise TokenRefusedError("The token is not a valid JWT from the issuer.") from error
        return claims


def _require_bearer_header(header: dict[str, object]) -> None:
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenRefusedError("The token's typ is not that of an access token (at+jwt).")
    if "crit" in header:
        raise TokenRefusedError("The token has a header (crit) that is not understood here.")


def _agent(claims: dict[str, object], claim: str) -> AgentName:
    name = claims.get(claim)
    if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
        raise TokenRefusedError(f"The token's claim {claim} is not an agent name.")
    return AgentName(name)


def _scopes(claims: dict[str, object]) -> frozenset[TokenScope]:
    """The diary's scopes among those of RFC 8693's `scope`, or of `scp` as some issuers have it."""
    granted = claims.get("scope", claims.get("scp"))
    if isinstance(granted, str):
        return known_scopes(granted.split())
    if isinstance(granted, list):
        return known_scopes([str(each) for each in cast("list[object]", granted)])
    return frozenset()

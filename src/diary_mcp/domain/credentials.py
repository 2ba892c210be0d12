"""What looks like a credential: keys and tokens of well-known forms, passwords in URLs.

Forms that say what they are, and no guesses by entropy or by words such as `password`: a false
alarm would teach agents to let everything through. Each rule has the words without which it cannot
hold; looking for them costs next to nothing, so a text is matched by almost no rule
(docs/adr/0014-secrets-at-the-door.md).
"""

import re
from dataclasses import dataclass

_PLACEHOLDER = re.compile(
    r"[<${\[].*|%(?:[^0-9a-f].*|.*%)?|(?:pass(?:word|wd)?|pwd|your[-_].*|[xX*.…]+)",
    re.IGNORECASE | re.DOTALL,
)
# Wherever a token ends, nothing goes on that could belong to it.
_FROM, _TO = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"


@dataclass(frozen=True)
class Credential:
    """What looks like a credential and where it stands in its text, from 1; never what it is."""

    kind: str
    line: int
    column: int


@dataclass(frozen=True, eq=False)
class _Rule:
    """What is secret of a match is its group `secret`, or else all of it."""

    kind: str
    words: tuple[str, ...]
    pattern: re.Pattern[str]

    def find(self, text: str) -> int | None:
        """Where the first of this kind begins."""
        for match in self.pattern.finditer(text):
            secret: str = match["secret"]
            if not _PLACEHOLDER.fullmatch(secret):
                return match.start()
        return None


def _token(kind: str, words: str, rest: str) -> _Rule:
    """A token that begins with one of the words."""
    heads = words.split()
    any_head = "|".join(map(re.escape, heads))
    return _Rule(kind, tuple(heads), re.compile(rf"{_FROM}(?:{any_head})(?P<secret>{rest}){_TO}"))


_RULES = (
    _Rule(
        "private key",
        ("PRIVATE KEY",),
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
            # Ends of lines as in programs and JSON, and the marks of quotes and comments.
            r"(?:[\s\"',>|*#]|\\+[nr])+"
            # DER as base64 begins with MI; what is longer than a word is taken for any other form.
            r"(?P<secret>MI[A-Za-z0-9+/=]{2,}|[A-Za-z0-9+/=]{12,}|(?:Proc-Type|Version|Comment|Charset|Hash):)"
        ),
    ),
    _Rule(
        "private key",
        ("Private-Lines:",),
        re.compile(r"Private-Lines: \d+\s+(?P<secret>\S+)"),
    ),
    _token("private key (age)", "AGE-SECRET-KEY-", r"1[A-Z0-9]{50,}"),
    _Rule(
        "password in a URL",
        ("://",),
        # Greedy: a password may hold a bare @.
        re.compile(r"://[^\s/:@?#\"'<>`]*:(?P<secret>[^\s/\"'`]+)@[^\s@]"),
    ),
    _Rule(
        "password in a URL",
        (
            *("ord=", "wd=", "oken=", "ey=", "ecret=", "ig="),
            *("ORD=", "WD=", "OKEN=", "EY=", "ECRET=", "IG="),
        ),
        re.compile(
            r"(?i:(?:[?&]|&amp;)"
            r"(?:password|passwd|pwd|access_token|auth_token|api[_-]?key|client_secret|sig)"
            r"|#access_token)="
            r"(?P<secret>[^\s&#\"'<>`]{6,})"
        ),
    ),
    _Rule(
        "bearer token or password of a request",
        ("uthorization", "UTHORIZATION"),
        re.compile(
            r"(?i:authorization)[\"']?\s*[:=]\s*[\"']?(?i:bearer|basic|token)\s+"
            r"(?P<secret>[A-Za-z0-9._~+/=-]{16,})"
        ),
    ),
    _Rule(
        "JSON web token",
        ("eyJ",),
        re.compile(rf"{_FROM}eyJ[\w-]{{8,}}\.(?P<secret>eyJ[\w-]{{8,}}\.[\w-]{{10,}})", re.ASCII),
    ),
    _token("AWS access key", "AKIA ASIA ABIA ACCA", r"[A-Z0-9]{16}"),
    _Rule(
        "AWS secret key",
        ("ecret", "ECRET"),
        re.compile(
            r"(?i:aws_?secret_?(?:access_?)?key|SecretAccessKey)[\"']?\s*[:=]\s*[\"']?"
            rf"(?P<secret>[A-Za-z0-9/+]{{40}}){_TO}"
        ),
    ),
    _Rule(
        "Azure key",
        ("AccountKey=", "SharedAccessKey="),
        re.compile(r"(?:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/=]{40,})"),
    ),
    _token("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{36,}"),
    _token("GitHub token", "github_pat_", r"[A-Za-z0-9_]{22,}"),
    _token("GitLab token", "glpat- gldt- glrt- glptt- glft- glsoat- glcbt- gloas-", r"[\w.-]{20,}"),
    _token("Slack token", "xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xoxe. xapp-", r"[A-Za-z0-9.-]{10,}"),
    _token(
        "Slack webhook", "hooks.slack.com/", r"(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}"
    ),
    _token("Discord webhook", "discord.com/api/webhooks/", r"\d+/[\w-]{30,}"),
    _Rule(
        "Telegram token",
        (":AA",),
        re.compile(rf"(?<!\d)\d{{8,10}}:(?P<secret>AA[\w-]{{33}}){_TO}"),
    ),
    _token("Stripe key", "sk_live_ sk_test_ rk_live_ rk_test_", r"[A-Za-z0-9]{16,}"),
    _token("Stripe webhook secret", "whsec_", r"[A-Za-z0-9+/=]{24,}"),
    _token("Square token", "sq0atp- sq0csp-", r"[\w-]{22,}"),
    _token("Shopify token", "shpat_ shpss_ shpca_ shppa_", r"[a-fA-F0-9]{32}"),
    _token("Twilio key", "SK", r"[0-9a-f]{32}"),
    _token("SendGrid key", "SG.", r"[\w-]{16,}\.[\w-]{16,}"),
    _token("Anthropic key", "sk-ant-", r"[\w-]{20,}"),
    _token("OpenAI key", "sk-proj- sk-svcacct- sk-admin- sk-None-", r"[\w-]{20,}"),
    _token("OpenRouter key", "sk-or-", r"[\w-]{20,}"),
    _token("API key", "sk-", r"[A-Za-z0-9]{32,}"),
    _token("Groq key", "gsk_", r"[A-Za-z0-9]{40,}"),
    _token("xAI key", "xai-", r"[A-Za-z0-9]{40,}"),
    _token("Perplexity key", "pplx-", r"[A-Za-z0-9]{40,}"),
    _token("NVIDIA key", "nvapi-", r"[\w-]{40,}"),
    _token("Replicate token", "r8_", r"[A-Za-z0-9]{30,}"),
    _token("Hugging Face token", "hf_", r"[A-Za-z0-9]{30,}"),
    _token("Google API key", "AIza", r"[\w-]{35}"),
    _token("Google client secret", "GOCSPX-", r"[\w-]{20,}"),
    _token("Google access token", "ya29.", r"[\w-]{20,}"),
    _token("npm token", "npm_", r"[A-Za-z0-9]{36}"),
    _token("PyPI token", "pypi-", r"[\w-]{50,}"),
    _token("RubyGems key", "rubygems_", r"[a-f0-9]{48}"),
    _token("Docker token", "dckr_pat_ dckr_oat_", r"[\w-]{20,}"),
    _token("DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", r"[a-f0-9]{64}"),
    _token("Vault token", "hvs. hvb. hvr.", r"[\w-]{24,}"),
    _token("Grafana token", "glsa_ glc_", r"[\w+/=-]{30,}"),
    _token("Databricks token", "dapi", r"[a-f0-9]{32}(?:-\d)?"),
    _token("Linear key", "lin_api_", r"[A-Za-z0-9]{32,}"),
    _token("Notion token", "ntn_", r"[A-Za-z0-9]{40,}"),
    _token("Figma token", "figd_", r"[\w-]{30,}"),
    _token("Supabase token", "sbp_", r"[a-f0-9]{40}"),
    _token("Sentry token", "sntrys_ sntryu_", r"[\w+/=]{40,}"),
    _token("Postman key", "PMAK-", r"[a-f0-9-]{50,}"),
    _token("Tailscale key", "tskey-", r"[a-z]+-[A-Za-z0-9-]{16,}"),
    _token("token of this diary", "dmcp_", r"[\w-]{40,}"),
)


_BY_WORD = tuple((word, rule) for rule in _RULES for word in rule.words)


def find_credential(text: str) -> Credential | None:
    """The first of the credentials in a text, or `None` where nothing looks like one."""
    candidates = {rule for word, rule in _BY_WORD if word in text}
    found = [(start, rule.kind) for rule in candidates if (start := rule.find(text)) is not None]
    if not found:
        return None
    start, kind = min(found)
    before = text[:start]
    return Credential(kind, before.count("\n") + 1, start - before.rfind("\n"))

"""Secrets at the door: what looks like a credential is not written, unless that is wanted.

Keys and tokens of well-known forms, passwords in URLs.
Forms that say what they are, and no guesses by entropy or by words such as `password`: a false
alarm would teach agents to let everything through. Each rule has the words without which it cannot
hold; looking for them costs next to nothing, so a text is matched by almost no rule
(docs/adr/0014-secrets-at-the-door.md).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from diary_mcp.domain.entry import Entry, EntryChanges, EntryDraft
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import MAX_TAGS

CREDENTIAL_TAG = "contains-secret"
"""On every entry in which a credential was let through."""

# What stands in the place of a secret; in a URL, hosts or a path may follow it.
_PLACEHOLDER = re.compile(
    r"(?:<[^<>]*>|\[[^\[\]]*\]|\{.*\}|\$(?:\{.*\}|\(.*\)|(?-i:[A-Z0-9_]+)|[a-z_]+)"
    r"|%(?:[^0-9a-f].*|.*%)?|pass(?:word|wd)?|pwd|your[-_].*|[xX*.…]+)(?:[@/].*)?",
    re.IGNORECASE | re.DOTALL,
)
# Wherever a token ends, nothing goes on that could belong to it.
_FROM, _TO = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
# A long value that is no words: `next-page-2` and `TokenAuthentication` name something.
_WORD = r"(?:[A-Za-z]+[0-9]{0,4}|[0-9]{1,4})"
_WORDS = rf"{_WORD}(?:[._~+/=-]+{_WORD})*(?![A-Za-z0-9])"
_OPAQUE = rf"(?!{_WORDS})[A-Za-z0-9._~+/=-]{{16,}}"


class Credential(NamedTuple):
    """What looks like a credential and where it stands in its text, from 1; never what it is."""

    kind: str
    line: int
    column: int


@dataclass(frozen=True, eq=False)
class _Rule:
    """What is secret of a match is its group `secret`, or else all of it."""

    kind: str
    words: tuple[str, ...]
    expression: str
    flags: re.RegexFlag = re.NOFLAG

    # Nearly no rule is ever tried, and there are too many of them to compile at each start.
    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(self.expression, self.flags)

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
    return _Rule(kind, tuple(heads), rf"{_FROM}(?:{any_head})(?P<secret>{rest}){_TO}")


_SAID = (
    _Rule(
        "private key",
        ("PRIVATE KEY",),
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
        # Ends of lines as in programs and JSON, and the marks of quotes and comments.
        r"(?:[\s\"',>|*#]|\\+[nr])+"
        # DER as base64 begins with MI; what is longer than a word is taken for any other form.
        r"(?P<secret>MI[A-Za-z0-9+/=]{2,}|[A-Za-z0-9+/=]{12,}|(?:Proc-Type|Version|Comment|Charset|Hash):)",
    ),
    _Rule(
        "private key",
        ("Private-Lines:",),
        r"Private-Lines: \d+\s+(?P<secret>\S+)",
    ),
    _Rule(
        "password in a URL",
        ("://",),
        # Greedy: a password may hold a bare @. A digest is what names an image.
        r"://[^\s/:@?#\"'<>`]*:(?P<secret>[^\s/\"'`]+)@(?!sha256:)[^\s@]",
    ),
    _Rule(
        "password in a URL",
        ("://",),
        # Also with a bare slash, where what follows the host is no port and no path of a page.
        r"://(?<!http://)(?<!https://)(?<!ws://)(?<!wss://)[^\s/:@?#\"'<>`]*:"
        r"(?!\d+(?:[/?#,\s]|$))(?P<secret>(?:(?!://)[^\s\"'`])+)@(?!sha256:)[^\s@]",
    ),
    _Rule(
        "password in a URL",
        (
            *("ord=", "wd=", "oken=", "ey=", "ecret=", "ig="),
            *("ORD=", "WD=", "OKEN=", "EY=", "ECRET=", "IG="),
        ),
        r"(?i:(?:[?&]|&amp;)"
        r"(?:password|passwd|pwd|access_token|auth_token|api[_-]?key|client_secret|sig)"
        r"|#access_token)="
        r"(?P<secret>[^\s&#\"'<>`]{6,})",
    ),
    _Rule(
        "token in a URL",
        ("oken=", "OKEN=", "ey=", "EY=", "ecret=", "ECRET=", "ignature=", "IGNATURE="),
        r"(?i:(?:[?&#]|&amp;)(?:[a-z_-]*token|(?:access|auth|secret|subscription)[_-]?key"
        r"|secret|x-(?:amz|goog)-signature))="
        rf"(?P<secret>{_OPAQUE})",
    ),
    _Rule(
        "bearer token or password of a request",
        ("uthorization", "UTHORIZATION"),
        r"(?i:authorization)[\"']?\s*[:=]\s*[\"']?"
        r"(?:(?P<scheme>(?i:bearer|basic|token)\s+)|(?i:api-?key|ssws|bot|oauth|jwt)\s+)?"
        rf"(?P<secret>(?(scheme)[A-Za-z0-9._~+/=-]{{16,}}|{_OPAQUE}))",
    ),
    _Rule(
        "bearer token or password of a request",
        ("earer", "EARER"),
        rf"{_FROM}(?i:bearer)\s+[\"']?(?P<secret>{_OPAQUE})",
    ),
    _Rule(
        "key or token of a request",
        ("-key", "-Key", "-KEY", "-token", "-Token", "-TOKEN", "-secret", "-Secret", "-SECRET"),
        rf"{_FROM}(?i:x-[a-z-]{{0,30}}(?:token|secret)|(?:private|job|deploy)-token"
        r"|(?:x-)?(?:api|access|auth|secret|subscription|functions)-key)"
        rf"[\"']?\s*:\s*[\"']?(?P<secret>{_OPAQUE})",
    ),
    _Rule(
        "cookie of a request",
        ("ookie", "OOKIE"),
        r"(?i:cookie)[\"']?\s*:\s*[\"']?"
        r"(?:[^\s=:;\"']{1,64}+(?:=[^\s;\"']{0,60}+)?;\s*+){0,12}?"
        rf"[^\s=:;\"']{{1,64}}+=(?P<secret>{_OPAQUE})",
    ),
    _Rule(
        "token of a package registry",
        ("_authToken", "npmAuthToken", ":_auth", ":_password"),
        r"(?:_authToken\s*=|npmAuthToken[\"']?\s*:|:_(?:auth|password)\s*=)\s*[\"']?"
        r"(?P<secret>[^\s\"'`,;]{8,})",
    ),
    _Rule(
        "password in a command",
        (" -u", " -U", "-user"),
        r"\bcurl(?=\s)(?:(?!curl\s)[^\n|;]|(?<=\\)\n)*?"
        r"\s(?:-[uU]|--(?:proxy-)?user)[\s=]*(?P<quote>[\"'])?[^\s:\"']*:"
        # Numbers are the user and the group of another program.
        r"(?!\d{1,5}(?!\S))(?P<secret>(?(quote)[^\n\"']|[^\s\"'`]){3,})",
    ),
    _Rule(
        "AWS secret key",
        ("ecret", "ECRET"),
        r"(?i:aws_?secret_?(?:access_?)?key|SecretAccessKey)[\"']?\s*[:=]\s*[\"']?"
        rf"(?P<secret>[A-Za-z0-9/+]{{40}}){_TO}",
    ),
)
# Each is one long run of characters.
_TOKENS = (
    _token("private key (age)", "AGE-SECRET-KEY-", r"1[A-Z0-9]{50,}"),
    _Rule(
        "JSON web token",
        ("eyJ",),
        rf"{_FROM}eyJ[\w-]{{8,}}\.(?P<secret>eyJ[\w-]{{8,}}\.[\w-]{{10,}})",
        re.ASCII,
    ),
    _token("AWS access key", "AKIA ASIA ABIA ACCA", r"[A-Z0-9]{16}"),
    _Rule(
        "Azure key",
        ("AccountKey=", "SharedAccessKey="),
        r"(?:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/=]{40,})",
    ),
    _token("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9]{36,}"),
    _token("GitHub token", "github_pat_", r"[A-Za-z0-9_]{22,}"),
    _token(
        "GitLab token",
        "glpat- gldt- glrt- glptt- glft- glsoat- glcbt- gloas- glimt- glagent- glffct-",
        r"[\w.-]{20,}",
    ),
    _token("Slack token", "xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xoxe. xapp-", r"[A-Za-z0-9.-]{10,}"),
    _token(
        "Slack webhook", "hooks.slack.com/", r"(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}"
    ),
    _token("Discord webhook", "discord.com/api/webhooks/", r"\d+/[\w-]{30,}"),
    _Rule(
        "Telegram token",
        (":AA",),
        rf"(?<!\d)\d{{8,10}}:(?P<secret>AA[\w-]{{33}}){_TO}",
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
    _token("Heroku key", "HRKU-", r"[\w-]{30,}"),
    _token("Atlassian token", "ATATT3 ATCTT3", r"[\w=-]{50,}"),
    _token("Bitbucket password", "ATBB", r"[A-Za-z0-9]{28,}"),
    _token("New Relic key", "NRAK- NRII-", r"[\w-]{24,}"),
    _token("PlanetScale token", "pscale_tkn_ pscale_pw_ pscale_oauth_", r"[\w=.-]{30,}"),
    _token("Doppler token", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.", r"[\w.-]{40,}"),
    _token("Google refresh token", "1//0", r"[\w-]{40,}"),
    _Rule(
        "Azure client secret",
        ("Q~",),
        r"(?<![\w~.-])[\w~.]{3}\dQ~(?P<secret>[\w~.-]{31,34})(?![\w~.-])",
        re.ASCII,
    ),
    _token("Amazon Bedrock key", "ABSK", r"[A-Za-z0-9+/=]{100,}"),
    _token("Alibaba access key", "LTAI", r"[A-Za-z0-9]{20}"),
    _token("Artifactory key", "AKCp", r"[A-Za-z0-9]{69}"),
    _token("1Password token", "ops_eyJ", r"[A-Za-z0-9+/=]{100,}"),
    _token("Fly.io token", "fo1_ fm1a_ fm1r_ fm2_", r"[\w+/=-]{40,}"),
    _Rule(
        "Terraform token",
        (".atlasv1.",),
        rf"{_FROM}[A-Za-z0-9]{{14}}\.atlasv1\.(?P<secret>[\w=-]{{50,}})",
        re.ASCII,
    ),
    _token("Pulumi token", "pul-", r"[a-f0-9]{40}"),
    _token("Dynatrace token", "dt0c01.", r"[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    _token("OpenShift token", "sha256~", r"[\w-]{43}"),
    _token("Sonar token", "squ_ sqp_ sqa_", r"[a-f0-9]{40}"),
    _token("Sourcegraph token", "sgp_", r"(?:(?:[a-f0-9]{16}|local)_)?[a-f0-9]{40}"),
    _token("LangSmith key", "lsv2_pt_ lsv2_sk_", r"[a-f0-9]{32}_[a-f0-9]{10}"),
    _token("Tavily key", "tvly-", r"[\w-]{30,}"),
    _token("PostHog key", "phx_", r"[A-Za-z0-9]{40,}"),
    _token("Brevo key", "xkeysib-", r"[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    _token("Netlify token", "nfp_", r"[A-Za-z0-9]{36,}"),
    _token("token of this diary", "dmcp_", r"[\w-]{40,}"),
)


_BY_WORD = tuple((word, rule) for rule in _SAID for word in rule.words)
_BY_WORD_OF_TOKEN = tuple((word, rule) for rule in _TOKENS for word in rule.words)
_SHORTEST_TOKEN = 15


def find_credential(text: str) -> Credential | None:
    """The first of the credentials in a text, or `None` where nothing looks like one."""
    long_runs = " ".join(run for run in text.split() if len(run) >= _SHORTEST_TOKEN)
    candidates = {rule for word, rule in _BY_WORD if word in text}
    candidates |= {rule for word, rule in _BY_WORD_OF_TOKEN if word in long_runs}
    found = [(start, rule.kind) for rule in candidates if (start := rule.find(text)) is not None]
    if not found:
        return None
    start, kind = min(found)
    before = text[:start]
    return Credential(kind, before.count("\n") + 1, start - before.rfind("\n"))


class CredentialDoor(NamedTuple):
    """Looks at every text that is to be written; `is_open` lets everything through.

    `way_through` is what a refused draft is told to be given with, where it is meant to be kept.
    """

    is_open: bool = False
    way_through: str = "allow_secret: true"

    def admit(
        self, draft: EntryDraft, *, allow: bool = False, front_matter: str | None = None
    ) -> EntryDraft:
        """The draft, tagged where it holds a credential that is let through.

        `front_matter` is kept beside it, and is looked at as well.

        Raises:
            InvalidArgumentError: it holds one that is not; says where it stands, not what it is.
        """
        texts = {**_texts(draft), "front matter": front_matter}
        if not self._must_be_tagged(texts, self.way_through, allow=allow):
            return draft
        return draft.model_copy(update={"tags": _tagged(draft.tags)})

    def admit_changes(self, entry: Entry, changes: EntryChanges) -> EntryChanges:
        """The same for a new version; an entry that is tagged may go on holding what it holds.

        Raises:
            InvalidArgumentError: as for a draft.
        """
        allow = CREDENTIAL_TAG in entry.tags
        if not self._must_be_tagged(_texts(changes), "DIARY_MCP_SECRETS=allow", allow=allow):
            return changes
        tags = entry.tags if changes.tags is None else changes.tags
        return changes.model_copy(update={"tags": _tagged(tags)})

    def check(self, name: str, text: str | None) -> None:
        """Refuses a text that belongs to no entry, such as the note of a share.

        Raises:
            InvalidArgumentError: it holds a credential.
        """
        self._must_be_tagged({name: text}, "DIARY_MCP_SECRETS=allow")

    def _must_be_tagged(
        self, texts: Mapping[str, str | None], way_through: str, *, allow: bool = False
    ) -> bool:
        for name, text in texts.items():
            found = find_credential(text) if text else None
            if found is None:
                continue
            if allow or self.is_open:
                return True
            raise InvalidArgumentError(
                f"{name} holds what looks like a credential ({found.kind}) at line {found.line}, "
                f"column {found.column}; nothing was written. Take it out: what is written here "
                f"is kept, searched and shared. Where it is meant to be kept: {way_through}."
            )
        return False


def _texts(entry: EntryDraft | EntryChanges) -> dict[str, str | None]:
    """Every text of the entry, by the name of its field."""
    given: dict[str, object] = dict(entry)
    texts: dict[str, str | None] = {
        name: value for name, value in given.items() if isinstance(value, str)
    }
    lists = {"tags": entry.tags, "supersedes": entry.supersedes}
    return {**texts, **{name: "\n".join(words or ()) for name, words in lists.items()}}


def _tagged(tags: Iterable[str]) -> list[str]:
    tagged = list(dict.fromkeys((*tags, CREDENTIAL_TAG)))
    if len(tagged) > MAX_TAGS:
        raise InvalidArgumentError(
            f"What is let through gets the tag {CREDENTIAL_TAG!r}, and there is no room for it: "
            f"give at most {MAX_TAGS - 1} tags."
        )
    return tagged

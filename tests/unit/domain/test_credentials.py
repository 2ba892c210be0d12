"""What looks like a credential, and what does not."""

import time

import pytest

from diary_mcp.domain.credentials import Credential, find_credential

# Put together here, so that no scanner takes this file for a leak.
BODY = "aB3dE5gH7jK9mN1pQ4sT6vW8yZ0cF2"
SECRETS = {
    "private key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA",
    "private key, its first words": "-----BEGIN " + "PRIVATE KEY-----\nMIIEvQ",
    "private key in JSON": '"-----BEGIN ' + 'PRIVATE KEY-----\\nMIIEvQIBADANBg"',
    "private key, quoted": "-----BEGIN " + "PRIVATE KEY-----\n> MIIEvQIBADANBgkqhkiG",
    "private key in a program": "'-----BEGIN " + "PRIVATE KEY-----\\n'\n  'MIIEvQIBADANBgkqhkiG'",
    "age": "AGE-SECRET-" + "KEY-1" + "QZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" * 2,
    "url": "postgres://app:" + "hunter2" + "@db.internal/app",
    "url with a bare @": "mysql://root:" + "p@ss:w@rd" + "@10.0.0.1:3306",
    "url with an escaped password": "postgres://app:" + "%24unter2" + "@db.internal/app",
    "url without a user": "redis://:" + "hunter2" + "@cache:6379",
    "url with a query": "https://db.example/x?user=a&" + "password=hunter22",
    "url with a query in capitals": "https://db.example/x?user=a&" + "PassWord=hunter22",
    "url with a fragment": "https://app.example/cb#access_" + f"token={BODY}",
    "url with a query in HTML": "https://db.example/x?user=a&amp;" + "api-key=hunter22",
    "header in capitals": "AUTHORIZATION: " + f"BEARER {BODY}",
    "header": "Authorization: " + f"Bearer {BODY}",
    "header in JSON": '"authorization": ' + f'"Basic {BODY}=="',
    "jwt": "eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJ" + "zdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4f",
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws secret": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY",
    "aws secret of an environment": "AWS_SECRET_ACCESS_" + f"KEY={BODY}abcdefghij",
    "azure": "AccountName=a;AccountKey=" + BODY * 2 + "==;",
    "github": "ghp_" + BODY + "abcdef",
    "github, fine-grained": "github_pat_" + BODY,
    "gitlab": "glpat-" + BODY[:20],
    "slack": "xoxb-" + "123456789012-" + BODY,
    "slack webhook": "https://hooks.slack.com/" + "services/T000/B000/" + BODY,
    "telegram": "1234567890:" + "AA" + BODY + "abc",
    "stripe": "sk_live_" + BODY,
    "openai": "sk-proj-" + BODY,
    "anthropic": "sk-ant-" + "api03-" + BODY,
    "sk": "sk-" + BODY + "abc",
    "google": "AIza" + BODY + "abcde",
    "npm": "npm_" + BODY + "abcdef",
    "hugging face": "hf_" + BODY + "abcd",
    "vault": "hvs." + BODY,
    "diary": "dmcp_" + BODY + "abcdefghijklm",
}
HARMLESS = [
    "The key begins with `-----BEGIN PRIVATE KEY-----`, as PEM says.",
    "postgresql://user:password@host:5432/diary",
    "postgresql://app:${PASSWORD}@db/app and mysql://root:<password>@db, amqp://u:***@mq",
    "amqp://u:%PASSWORD%@mq, ftp://u:%s@h and 'ftp://%s:%(password)s@h'",
    'if "-----BEGIN PRIVATE KEY-----" in text: return',
    "a line `-----BEGIN PRIVATE KEY-----` and then base64, 'Authorization' in capitals",
    "https://example.com:8443/@user/statuses and http://localhost:8722/mcp",
    "git@github.com:owner/name.git, ssh://git@host:22/x, mailto:a@b.example",
    "ghp_ is how GitHub's tokens begin, glpat- GitLab's, sk- OpenAI's, AKIA AWS's.",
    "token=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "Authorization: Bearer <token>, Authorization: Bearer $TOKEN",
    "sk-fading-circle and risk-averse-and-otherwise-unremarkable-hyphenated-words",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "commit 32406f0e8bfa9c79457f37c437bcc4e3bf49a88a, 01a209f7-3236-76fc-9537-63feee86b6c8",
    "password: hunter2",
]


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_credential_is_found_where_it_stands(secret: str) -> None:
    found = find_credential(f"What happened:\nfirst 🦊 {secret} then")

    assert found is not None
    assert found.line == 2
    assert found.column <= len("first 🦊 ") + 1 + secret.index(secret.strip('"')[-4:])
    assert found.column > len("first 🦊 ")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_speaks_of_credentials_is_let_through(text: str) -> None:
    assert find_credential(text) is None


def test_the_first_of_several_is_told() -> None:
    text = f"a\r\nb {SECRETS['github']}\n{SECRETS['aws']}"

    assert find_credential(text) == Credential("GitHub token", 2, 3)


@pytest.mark.parametrize(
    "text",
    [
        "http://" + "a:" * 49_000,
        "a" * 99_000 + "://",
        "aaaa-" * 20_000 + "?password=",
        "://" * 33_000 + "?token=",
        "eyJ" + "a" * 99_000,
        "-----BEGIN " + "A " * 40_000 + "PRIVATE KEY",
        "-----BEGIN PRIVATE KEY-----" + " " * 99_000,
        "-----BEGIN PRIVATE KEY-----" + "\\n>" * 33_000,
        "Private-Lines: 1" * 6_000,
        "sk-" * 33_000,
        "SG." + "a" * 99_000,
    ],
    ids=lambda text: text[:16],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()

    find_credential(text)

    assert time.process_time() - began < 1

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
    "url whose password begins as a variable does": "postgres://app:" + "$ecr3t-99" + "@db/app",
    "url whose password begins as a placeholder does": "amqp://app:" + "[hunter2" + "@mq",
    "url whose password has an opening brace": "ftp://app:" + "{hunter2" + "@mq",
    "url whose password has a slash and a hash": "postgres://app:" + "a/b#c" + "@db.internal/app",
    "url whose password begins with a slash": "redis://:" + "/hunter2" + "@cache:6379/0",
    "url with a token": "https://ci.example/hook?" + f"token={BODY}",
    "url that is signed": "https://s3.example/x?a=b&X-Amz-" + "Signature=" + "0a1b2c3d" * 8,
    "header with a key": "X-Api-" + f"Key: {BODY}",
    "header with a token in a program": "headers={'x-vault-" + f"token': '{BODY}'}}",
    "header of GitLab": "PRIVATE-" + f"TOKEN: {BODY}",
    "header without a scheme": "Authori" + f"zation: {BODY}",
    "cookie": "Cook" + f"ie: theme=dark; sid={BODY}; lang=en",
    "cookie that is set": '"set-cook' + f'ie": "session={BODY}; HttpOnly"',
    "bearer token by itself": "sent Bear" + f"er {BODY}",
    "npmrc": "//registry.npmjs.org/:_auth" + "Token=01a209f7-3236-76fc-9537-63feee86b6c8",
    "yarnrc": "npmAuth" + f'Token: "{BODY}"',
    "curl with a password": "curl -s -u " + "app:hunter2" + " https://api.example",
    "curl over lines": "curl -X POST \\\n  --user=" + "'app:hunt er2'" + " https://api.example",
    "heroku": "HRKU-" + "AA" + BODY,
    "atlassian": "ATATT3" + "xFfGF0" + BODY * 2 + "=0A1B2C3D",
    "new relic": "NRAK-" + "0A1B2C3D4E5F6G7H8I9J0K1L2M3",
    "planetscale": "pscale_tkn_" + BODY,
    "planetscale password": "pscale_pw_" + BODY,
    "doppler": "dp.pt." + BODY + "abcdefghijklm",
    "google refresh token": "1//" + "0g" + BODY * 2,
    "azure client secret": "abc" + "8Q~" + BODY + "_x",
    "fly": "fo1_" + BODY + "abcdefghijklm",
    "terraform": "0a1b2c3d4e5f6g.atlas" + "v1." + BODY * 2,
    "langsmith": "lsv2_pt_" + "0a1b2c3d" * 4 + "_0a1b2c3d4e",
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
    "postgres://app:$PASSWORD@db, mysql://root:$db_password@h, amqp://u:$(pass)@mq",
    "postgresql://postgres:[YOUR-PASSWORD]@db.example:5432/postgres, ftp://u:{settings.password}@h",
    "postgres://localhost:5432/app?user=a@b, mongodb://h1:27017,h2:27017/app?x=a@b",
    "postgres://db:{port}/app?mail=a@b, http://localhost:PORT/@vite/client",
    "oci://alpine:3.19@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "Bearer authentication, Bearer authentication-middleware-for-version-2, bearer TokenAuthorizer",
    "Auth headers: Authorization, Cookie, X-API-Key, X-Ory-API-Key; X-Api-Key: your-api-key-here-1",
    "X-Api-Key: ${API_KEY}, x-a-token: <token>, Cookie: session=<value>; theme=dark, Cookie: a=b",
    "Set-Cookie: session=...; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000",
    "X-Idempotency-Key: 01a209f7-3236-76fc-9537-63feee86b6c8",
    "X-Request-Id: 01a209f7-3236-76fc-9537-63feee86b6c8",
    "https://example.com/?token=TOKEN, ?token=next-page-of-the-list-2, ?token={token}&x=y",
    "//registry.npmjs.org/:_authToken=${NPM_TOKEN}, npmAuthToken: $NPM_TOKEN",
    "curl -u user:password https://x, curl -u $USER:$PASS https://x, curl --negotiate -u : https://x",
    "curl -sf https://x | docker run -i -u 1000:1000 image",
    "curl -u name https://x && docker run -u 1000:1000 image; curl x; ps -u me:x-y",
    "HRKU-, ATATT3, NRAK-, pscale_pw_, dp.pt. and 1//0 are how tokens begin; Q~ is in Azure's",
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
        "x-" * 50_000,
        "cookie:" * 14_000,
        "cookie:a=" * 11_000,
        "cookie:a=b;" * 9_000,
        "cookie:" + "a=b;" * 24_000,
        "curl " * 20_000,
        "curl -u" * 14_000,
        "curl \\\n" * 14_000,
        "bearer " * 14_000,
        "bearer " + "a-" * 48_000,
        "?token=" + "a-" * 48_000,
        "Q~" * 48_000,
        "://a:/" * 16_000,
    ],
    ids=lambda text: text[:16],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()

    find_credential(text)

    assert time.process_time() - began < 1

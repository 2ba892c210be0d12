"""Which proxy and which certificates a request to elsewhere uses, whatever the environment says."""

from pathlib import Path

import pytest

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.outgoing_http import certificates_for, is_this_machine, proxy_for, without_user

ELSEWHERE = "https://models.example:8443/v1"
PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("all_proxy", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY, "ALL_PROXY": "http://other:1"}, PROXY),
        ({"ALL_PROXY": "https://[2001:db8::1]:3128"}, "https://[2001:db8::1]:3128"),
        ({"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ({"HTTPS_PROXY": "http://me:p%40ss@proxy.example"}, "http://me:p%40ss@proxy.example"),
        ({"HTTPS_PROXY": ""}, None),
        ({"ALL_PROXY": PROXY, "all_proxy": ""}, None),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTP_PROXY": "socks9://x:99999"}, None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "a.example, models.example"}, None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": ".example:8443"}, None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "*.EXAMPLE"}, None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "models.example:1"}, PROXY),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "odels.example"}, PROXY),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ({"ALL_PROXY": PROXY, "NO_PROXY": "[::1, ,://,%zz,("}, PROXY),
    ],
)
def test_a_request_goes_by_the_proxy_of_its_scheme(
    variables: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert proxy_for(ELSEWHERE) == proxy


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value",
    [
        "socks5://me:secret@proxy:1080",
        "socks5h://proxy",
        "file:///secret",
        "http://",
        "://secret",
        "http://proxy:65536",
        "http://proxy:0",
        "http://proxy:secret",
        "http://[::secret",
        "http://999.1.1.1:8",
        "http://se cret:3128",
        "http://sécret:3128",
        "secret\x07",
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_by_its_variable_alone(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(InvalidArgumentError, match=rf"^{variable} ") as refusal:
        proxy_for(ELSEWHERE)

    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.8.7", "[::1]", "localhost", "LOCALHOST.", "a.localhost"]
)
@pytest.mark.parametrize("value", [PROXY, "socks5://proxy:1080", "http://proxy:99999"])
def test_this_machine_is_never_asked_through_a_proxy(
    host: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    monkeypatch.setenv("HTTP_PROXY", value)

    assert proxy_for(f"http://{host}:11434/v1") is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1.example", "localhost.example", "notlocalhost", "::2", "0.0.0.0", ""]
)
def test_another_machine_is_not_this_one(host: str) -> None:
    assert not is_this_machine(host)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE"])
def test_certificates_that_cannot_be_read_are_told_by_their_variable(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").write_text("no certificate\n")
    for name in ("missing.pem", "empty.pem"):
        monkeypatch.setenv(variable, str(tmp_path / name))

        with pytest.raises(InvalidArgumentError, match=f"^{variable} "):
            certificates_for(ELSEWHERE)

    assert certificates_for("http://models.example") is False


@pytest.mark.parametrize("user", ["", "me:secret@", "me:sec@ret@", "me:sec/ret@", "me:sec#r?et@"])
def test_a_url_is_told_without_its_password(user: str) -> None:
    assert without_user(f"https://{user}models.example/v1") == "https://models.example/v1"

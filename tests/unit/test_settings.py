"""Settings that cannot be used say which one, and why."""

from pathlib import Path

import pytest

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.settings import list_relative_folders, load_settings


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"EMBEDDINGS": "word2vec"}, "DIARY_MCP_EMBEDDINGS: Input should be 'default', 'none'"),
        ({"EMBEDDINGS": "onnx"}, "needs DIARY_MCP_EMBEDDINGS_MODEL: the folder of"),
        ({"EMBEDDINGS": "onnx", "EMBEDDINGS_MODEL": "/nowhere"}, "is not a folder with one of"),
        ({"EMBEDDINGS": "openai"}, "needs DIARY_MCP_EMBEDDINGS_MODEL: the name of"),
        ({"EMBEDDINGS": "openai", "EMBEDDINGS_MODEL": "m"}, "needs DIARY_MCP_EMBEDDINGS_URL"),
        (
            {"EMBEDDINGS": "openai", "EMBEDDINGS_MODEL": "m", "EMBEDDINGS_URL": "host:1"},
            "DIARY_MCP_EMBEDDINGS_URL: must be a URL",
        ),
        ({"EMBEDDINGS": "fastembed"}, "needs DIARY_MCP_EMBEDDINGS_MODEL: the name of one"),
        (
            {"EMBEDDINGS": "fastembed", "EMBEDDINGS_MODEL": "m"},
            "needs the package fastembed: install diary-mcp[fastembed]",
        ),
    ],
)
def test_an_embedding_model_that_cannot_be_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], complaint: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"DIARY_MCP_{name}", value)

    with pytest.raises(InvalidArgumentError) as raised:
        load_settings()

    assert complaint in str(raised.value)


def test_a_key_is_kept_out_of_sight(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    monkeypatch.setenv("DIARY_MCP_EMBEDDINGS", "onnx")
    monkeypatch.setenv("DIARY_MCP_EMBEDDINGS_MODEL", str(tmp_path))
    monkeypatch.setenv("DIARY_MCP_EMBEDDINGS_API_KEY", "out-of-sight")

    settings = load_settings()

    assert "out-of-sight" not in repr(settings)
    assert settings.embedder.api_key == "out-of-sight"


@pytest.mark.parametrize("given", ["~/diary", "$HOME/diary", "${HOME}/diary"])
def test_a_folder_is_expanded_as_a_shell_would(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DIARY_MCP_DATA_DIR", given)
    monkeypatch.setenv("DIARY_MCP_EMBEDDINGS", "onnx")
    monkeypatch.setenv("DIARY_MCP_EMBEDDINGS_MODEL", given)
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "model.onnx").touch()

    settings = load_settings()

    assert settings.data_dir == tmp_path / "diary"
    assert settings.embeddings_model == str(tmp_path / "diary")
    assert list_relative_folders(settings) == []
    assert load_settings(data_dir=Path("~/other")).data_dir == tmp_path / "other"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (" ~/diary", "white space"),
        ("/tmp/diary ", "white space"),
        ("~no-such-user/diary", "no-such-user"),
        ("${NOT_SET_ANYWHERE}/diary", "NOT_SET_ANYWHERE"),
    ],
)
def test_a_folder_that_cannot_be_expanded_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: str, complaint: str
) -> None:
    monkeypatch.setenv("DIARY_MCP_DATA_DIR", given)

    with pytest.raises(InvalidArgumentError, match=f"DIARY_MCP_DATA_DIR: .*{complaint}"):
        load_settings()


def test_a_relative_folder_is_told_with_what_it_is_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIARY_MCP_DATA_DIR", "notes")

    settings = load_settings()

    assert settings.data_dir == tmp_path / "notes"
    (told,) = list_relative_folders(settings)
    assert "DIARY_MCP_DATA_DIR=notes" in told
    assert str(tmp_path / "notes") in told


@pytest.mark.parametrize(
    "url", ["http://issuer.example/keys", "http://10.0.0.1/keys", "http://127.0.0.1.example/keys"]
)
def test_an_issuer_s_keys_come_by_https_from_elsewhere(url: str) -> None:
    issuer = {"jwt_issuer": "i", "jwt_audience": "a"}

    with pytest.raises(InvalidArgumentError, match=r"DIARY_MCP_JWT_JWKS_URL: .*https://"):
        load_settings(**issuer, jwt_jwks_url=url)

    assert load_settings(**issuer, jwt_jwks_url="http://[::1]:8080/keys").jwt_jwks_url
    assert load_settings(**issuer, jwt_jwks_url="https://issuer.example/keys").jwt_jwks_url


@pytest.mark.parametrize(
    "address",
    [
        "me:se@cret@host/db",
        "me:se/cret@host/db",
        "me:se?cret@host/db",
        "me@x:cret@host:1/db",
        "host:secret/db",
        "me:secret:x",
        "one:1,two:secret/db",
    ],
)
def test_a_database_url_that_would_be_taken_apart_wrongly_is_refused_untold(address: str) -> None:
    with pytest.raises(InvalidArgumentError, match="%40") as refusal:
        load_settings(database_url=f"postgresql://{address}")

    assert "cret" not in str(refusal.value)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/db",
        "host",
        "me@host/db",
        "me:a%40b#c!$@host:5432/d@b",
        "one:1,two:2/db",
        "[::1]:5/d",
        "me:x@[::1],two/db",
        "%2Frun%2Fpostgresql/db",
        "host?user=a@b",
        "me@/db?host=/run/x",
        ":5/d",
    ],
)
def test_every_form_of_a_database_url_is_taken(address: str) -> None:
    url = f"postgresql://{address}"

    assert load_settings(database_url=url).database_url == url


def test_a_folder_called_tilde_is_none_where_its_path_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert load_settings(data_dir="./~/diary").data_dir == tmp_path / "~" / "diary"
    monkeypatch.setenv("DIARY_MCP_DATA_DIR", "./~")
    assert load_settings().data_dir == tmp_path / "~"


@pytest.mark.parametrize(
    ("variable", "value", "flags", "agent"),
    [
        ("DIARY_MCP_AGENT", "ann", {}, "ann"),
        ("diary_mcp_agent", "ann", {}, "ann"),
        ("DIARY_MCP_AGENT", "", {}, "local"),
        ("DIARY_MCP_AGENT", "ann", {"agent": "bob"}, "bob"),
        ("DIARY_MCP_AGENT", "ann", {"agent": None}, "ann"),
        ("AGENT", "ann", {}, "local"),
    ],
    ids=["set", "in small letters", "empty", "with a flag", "a flag not given", "of another"],
)
def test_the_environment_says_what_no_flag_says(
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    flags: dict[str, str | None],
    agent: str,
) -> None:
    monkeypatch.delenv("DIARY_MCP_AGENT", raising=False)
    monkeypatch.setenv(variable, value)

    assert load_settings(**flags).agent == agent

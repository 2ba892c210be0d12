"""Settings that cannot be used say which one, and why."""

from pathlib import Path

import pytest

from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.settings import load_settings


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
    monkeypatch.setenv("DIARY_MCP_EMBEDDINGS_API_KEY", "secret")

    settings = load_settings()

    assert "secret" not in repr(settings)
    assert settings.embedder.api_key == "secret"

"""An embedding endpoint: what it is asked, and that nothing fails when it does."""

from collections.abc import Callable, Generator

import anyio
import httpx
import numpy as np
import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.errors import EmbeddingUnavailableError
from diary_mcp.embeddings.choice import EmbedderChoice, choose_embedder
from diary_mcp.embeddings.endpoint import EndpointModel
from diary_mcp.embeddings.lazy import LazyEmbedder
from diary_mcp.service.search import material
from support.clients import RawClient, environment
from support.embedding_endpoint import Endpoint, embedding_endpoint
from support.ground_truth import ask
from support.ground_truth import eventually as soon
from support.searching import Searching
from support.sites import own_database

pytestmark = pytest.mark.anyio

PROXY = "http://192.0.2.1:3128"

WITHOUT_VECTORS = (
    "select count(*)::integer from diary.search_document where vectors_by is distinct from %s"
)


@pytest.fixture
def endpoint() -> Generator[Endpoint]:
    with embedding_endpoint() as running:
        yield running


def model_of(endpoint: Endpoint, *, pause_s: float = 0, timeout_s: float = 30) -> EndpointModel:
    timeout = httpx.Timeout(timeout_s)
    return EndpointModel(endpoint.url, "small", "secret", timeout=timeout, pause_s=pause_s)


def test_texts_go_out_with_the_model_and_the_key_and_come_back_in_order(endpoint: Endpoint) -> None:
    texts = [f"text number {number}" for number in range(70)]

    vectors = model_of(endpoint).embed(texts)

    assert [np.frombuffer(vector, "<f4").tolist() for vector in vectors] == [
        pytest.approx(endpoint.embed(text)) for text in texts
    ]
    assert [len(request["input"]) for request in endpoint.requests] == [64, 6]
    assert {(request["path"], request["model"]) for request in endpoint.requests} == {
        ("/v1/embeddings", "small")
    }
    assert endpoint.keys == {"Bearer secret"}


def test_a_text_that_is_refused_for_good_holds_up_no_other(endpoint: Endpoint) -> None:
    endpoint.poison = "poison"
    model = model_of(endpoint)

    before, refused, after = model.embed(["before", "some poison", "after"])

    assert not np.frombuffer(refused, "<f4").any()
    assert len(refused) == len(before) == len(after)
    assert np.frombuffer(before, "<f4").any()
    assert np.frombuffer(after, "<f4").any()


def test_an_empty_text_is_no_reason_to_fail(endpoint: Endpoint) -> None:
    assert len(model_of(endpoint).embed([""])) == 1


def _fails(endpoint: Endpoint) -> None:
    endpoint.status = 503


def _refuses_everything(endpoint: Endpoint) -> None:
    endpoint.poison = ""


def _talks_nonsense(endpoint: Endpoint) -> None:
    endpoint.raw = b"<html>"


def _forgets_one(endpoint: Endpoint) -> None:
    endpoint.raw = b'{"data": [{"index": 1, "embedding": [1.0]}]}'


def _says_nothing(endpoint: Endpoint) -> None:
    endpoint.raw = b'{"data": [{"index": 0, "embedding": []}]}'


def _hangs(endpoint: Endpoint) -> None:
    endpoint.hangs.clear()


@pytest.mark.parametrize(
    "breaks",
    [_fails, _refuses_everything, _talks_nonsense, _forgets_one, _says_nothing, _hangs],
)
def test_whatever_goes_wrong_is_one_error_without_the_key(
    endpoint: Endpoint, breaks: Callable[[Endpoint], None]
) -> None:
    model = model_of(endpoint, timeout_s=0.5 if breaks is _hangs else 30)
    breaks(endpoint)

    with pytest.raises(EmbeddingUnavailableError) as raised:
        model.embed(["text"])

    assert endpoint.url in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("status", [400, 401, 500])
def test_an_error_tells_the_endpoints_word_and_quotes_no_text(
    endpoint: Endpoint, status: int
) -> None:
    endpoint.status = status
    endpoint.raw = b'{"error": {"code": "model_not_found", "message": "cannot embed: my diary"}}'

    with pytest.raises(EmbeddingUnavailableError) as raised:
        model_of(endpoint).embed(["my diary"])

    assert f"status {status} model_not_found" in str(raised.value)
    assert "my diary" not in str(raised.value)


def test_after_a_failure_it_is_left_alone_for_a_while(endpoint: Endpoint) -> None:
    endpoint.status = 500
    model = model_of(endpoint, pause_s=3_600)

    for _ in range(3):
        with pytest.raises(EmbeddingUnavailableError, match="status 500"):
            model.embed(["text"])

    assert len(endpoint.requests) == 1


def test_nobody_listening_is_an_error_like_any_other() -> None:
    with pytest.raises(EmbeddingUnavailableError):
        EndpointModel("http://127.0.0.1:9/v1", "small", None).embed(["text"])


async def test_a_search_goes_on_by_words_while_the_endpoint_is_down(
    foundation: Foundation, endpoint: Endpoint
) -> None:
    diary = Searching(foundation, LazyEmbedder("endpoint", lambda: model_of(endpoint)))
    (entry,) = await diary.write("The car is blue.")
    await diary.index()
    by_meaning = await diary.find("vehicle", mode="semantic")
    endpoint.status = 500

    while_down = await diary.find("what about the car?")
    endpoint.status = 200
    again = await diary.find("vehicle", mode="semantic")

    assert [hit.id for hit in by_meaning.rows] == [hit.id for hit in again.rows] == [entry.id]
    assert (by_meaning.notice, again.notice) == (None, None)
    assert [hit.id for hit in while_down.rows] == [entry.id]
    assert while_down.notice == "Searched by words only: the embedding model does not answer."


async def test_an_endpoint_that_hangs_does_not_hold_up_a_search(
    foundation: Foundation, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(material, "_MODEL_WAIT_S", 0.5)
    diary = Searching(foundation, LazyEmbedder("endpoint", lambda: model_of(endpoint)))
    (entry,) = await diary.write("The car is blue.")
    endpoint.hangs.clear()

    try:
        with anyio.fail_after(60):
            page = await diary.find("what about the car?")
    finally:
        endpoint.hangs.set()

    assert [hit.id for hit in page.rows] == [entry.id]
    assert page.notice == "Searched by words only: the embedding model does not answer."


async def test_vectors_of_another_length_under_the_same_name_are_left_out(
    foundation: Foundation, endpoint: Endpoint
) -> None:
    diary = Searching(foundation, LazyEmbedder("endpoint", lambda: model_of(endpoint)))
    old, *_ = await diary.write("The car is blue.")
    await diary.index()
    endpoint.dimensions = 96
    (new,) = await diary.write("The vehicle is red.")
    await diary.index()

    page = await diary.find("car", mode="semantic")

    assert [hit.id for hit in page.rows][:1] == [new.id]
    assert old.id not in [hit.id for hit in page.rows if "meaning" in hit.matched]
    assert page.notice is not None
    assert page.notice.startswith("Without an embedding yet: 1 of 2 entries")


def test_a_server_uses_the_endpoint_that_is_set_and_backfills_for_the_next_model(
    postgres_url: str, endpoint: Endpoint
) -> None:
    with own_database(postgres_url) as url:

        def server(model: str) -> RawClient:
            return RawClient(environment(database_url=url) | endpoint.settings(model))

        def found(client: RawClient) -> tuple[list[str], str | None]:
            answer = client.call("diary_search", query="vehicle", mode="semantic").data
            return [hit["id"] for hit in answer["hits"]], answer.get("notice")

        for model, dimensions in (("small", 48), ("large", 96)):
            endpoint.dimensions = dimensions
            client = server(model)
            try:
                created = client.create("The car is blue.", key=model)
                version = f"openai:{model}/1"
                soon(lambda v=version: ask(url, WITHOUT_VECTORS, v) == [(0,)], within_s=60)
                ids, notice = found(client)
                assert created["id"] in ids
                assert notice is None

                endpoint.status = 500
                assert client.create("While it is down.")["version"] == 1
                assert "by words only" in str(found(client)[1])
                endpoint.status = 200
            finally:
                client.close()
        assert endpoint.keys == {"Bearer secret"}


@pytest.mark.parametrize("value", ["socks5://proxy:1080", "http://proxy:99999", "\x07", PROXY])
def test_an_endpoint_on_this_machine_is_asked_whatever_proxy_is_named(
    endpoint: Endpoint, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    monkeypatch.setenv("HTTP_PROXY", value)
    monkeypatch.setenv("NO_PROXY", "[::1")

    assert len(model_of(endpoint).embed(["text"])) == 1


async def test_a_search_goes_on_by_words_where_the_proxy_cannot_be_used(
    foundation: Foundation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks4://proxy")
    choice = EmbedderChoice("openai", model="small", url="http://models.example/v1")
    diary = Searching(foundation, choose_embedder(choice))
    (entry,) = await diary.write("The car is blue.")

    found = await diary.find("car")

    assert [hit.id for hit in found.rows] == [entry.id]
    assert found.notice == "Searched by words only: the embedding model does not answer."

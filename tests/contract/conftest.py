"""Both permission backends, one after the other."""

from collections.abc import AsyncGenerator, Generator

import pytest
from anyio.from_thread import start_blocking_portal

from diary_mcp.permissions.embedded import EmbeddedPermissions
from diary_mcp.permissions.keto import open_keto
from diary_mcp.store.database import open_database
from diary_mcp.store.relation_tuples import PostgresTuples
from support.backends import Backend, KetoAdministrator, SqlAdministrator
from support.databases import fresh_database
from support.keto import some_keto
from support.keto_config import PATIENCE_S, KetoAddress

# One worker pays for the server, and nobody else fills or empties it meanwhile.
BACKENDS = [
    pytest.param("embedded_backend", id="embedded"),
    pytest.param("keto_backend", id="keto", marks=pytest.mark.xdist_group("keto")),
]


# Not async: anyio would take the thread of every test to the end of the session for asynchronous.
@pytest.fixture(scope="session")
def keto_address(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Generator[KetoAddress]:
    keto = some_keto(postgres_url, tmp_path_factory.mktemp("keto"))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(keto) as address:
        yield address


@pytest.fixture(scope="session")
def tuples_url(postgres_url: str) -> Generator[str]:
    """A database whose tuples are all that changes."""
    database = fresh_database(postgres_url)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(database) as url:
        yield url


@pytest.fixture
async def embedded_backend(tuples_url: str) -> AsyncGenerator[Backend]:
    administrator = SqlAdministrator(tuples_url)
    await administrator.empty()
    async with open_database(tuples_url, max_size=4) as database:
        permissions = EmbeddedPermissions(PostgresTuples(database))
        yield Backend(permissions, administrator)


@pytest.fixture
async def keto_backend(keto_address: KetoAddress) -> AsyncGenerator[Backend]:
    administrator = KetoAdministrator(keto_address)
    await administrator.empty()
    async with open_keto(
        keto_address.read_url, keto_address.write_url, timeout_s=PATIENCE_S
    ) as permissions:
        yield Backend(permissions, administrator)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """One backend, empty."""
    return request.getfixturevalue(request.param)

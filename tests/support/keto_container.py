"""The published image of the present Ory Keto, for tests where a container engine runs."""

import shutil
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HttpWaitStrategy

from diary_mcp.package_data import resource_path
from support.keto_config import KetoAddress, keto_config

KETO_IMAGE = "oryd/keto:v26.2.0"
POSTGRES_IMAGE = "postgres:18-alpine"
_READ_PORT = 4466
_WRITE_PORT = 4467


@contextmanager
def keto_container(folder: Path) -> Generator[KetoAddress]:
    """A server in a container, on a PostgreSQL container of its own."""
    _require_container_engine()
    # The image runs as a user of its own.
    folder.chmod(0o755)
    config = folder / "keto.yml"
    config.write_text(
        keto_config(
            dsn="postgres://test:test@database:5432/test?sslmode=disable",
            opl=Path("/etc/keto/diary.opl.ts"),
            host="0.0.0.0",
            ports=(_READ_PORT, _WRITE_PORT, 4468, 4469),
        )
    )
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        database = PostgresContainer(POSTGRES_IMAGE, driver=None)
        stack.enter_context(database.with_network(network).with_network_aliases("database"))
        migration = stack.enter_context(_container(network, config, "migrate up -y"))
        assert migration.wait() == 0, migration.get_logs()
        server = _container(network, config, "serve all --sqa-opt-out")
        server.with_exposed_ports(_READ_PORT, _WRITE_PORT)
        server.waiting_for(HttpWaitStrategy(_WRITE_PORT, "/health/alive"))
        stack.enter_context(server)
        host = server.get_container_host_ip()
        yield KetoAddress(
            f"http://{host}:{server.get_exposed_port(_READ_PORT)}",
            f"http://{host}:{server.get_exposed_port(_WRITE_PORT)}",
        )


def _require_container_engine() -> None:
    client = shutil.which("docker")
    if (
        client is None
        or subprocess.run([client, "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip(f"There is no container engine to run {KETO_IMAGE} with.")


def _container(network: Network, config: Path, command: str) -> DockerContainer:
    opl = resource_path("opl") / "diary.opl.ts"
    return (
        DockerContainer(KETO_IMAGE)
        .with_network(network)
        .with_command(f"{command} -c /etc/keto/keto.yml")
        .with_volume_mapping(str(config), "/etc/keto/keto.yml", "ro")
        .with_volume_mapping(str(opl), "/etc/keto/diary.opl.ts", "ro")
    )

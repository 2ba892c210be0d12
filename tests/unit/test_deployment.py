"""The files in `deploy/` fit each other, as far as that can be seen without an engine."""

from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"


def compose() -> dict[str, dict[str, dict[str, object]]]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def test_every_file_that_a_container_gets_is_there() -> None:
    mounts = [
        str(volume).split(":")[0]
        for service in compose()["services"].values()
        for volume in list(map(str, service.get("volumes", [])))  # pyright: ignore[reportArgumentType]
        if str(volume).startswith(".")
    ]

    assert mounts
    assert [mount for mount in mounts if not (DEPLOY / mount).is_file()] == []


def test_two_replicas_stand_behind_one_address() -> None:
    services = compose()["services"]

    assert {"diary-1", "diary-2", "address", "keto", "keto-migrate", "postgres"} == set(services)
    assert services["diary-1"] == services["diary-2"]
    assert [name for name in services if "ports" in services[name]] == ["address"]


def test_every_replica_is_named_to_the_proxy() -> None:
    proxy = (DEPLOY / "nginx.conf").read_text("utf-8")

    assert "diary-1:8722" in proxy
    assert "diary-2:8722" in proxy

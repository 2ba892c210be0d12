"""The files in `deploy/` fit each other, as far as that can be seen without an engine."""

from typing import Any

import yaml

from diary_mcp.settings import Settings
from support.paths import ROOT

DEPLOY = ROOT / "deploy"


def compose() -> dict[str, dict[str, dict[str, Any]]]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def test_every_file_that_a_container_gets_is_there() -> None:
    mounts = [
        str(volume).split(":")[0]
        for service in compose()["services"].values()
        for volume in list(map(str, service.get("volumes", [])))
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


def test_whatever_a_container_waits_for_is_there() -> None:
    services = compose()["services"]

    waited_for = {name for each in services.values() for name in each.get("depends_on", ())}

    assert waited_for <= set(services)


def test_a_replica_is_told_only_what_the_diary_reads_and_where_keto_is() -> None:
    told: dict[str, str] = compose()["services"]["diary-1"]["environment"]
    keto = yaml.safe_load((DEPLOY / "keto.yml").read_text("utf-8"))

    assert set(told) <= {f"DIARY_MCP_{name.upper()}" for name in Settings.model_fields}
    assert told["DIARY_MCP_KETO_READ_URL"] == f"http://keto:{keto['serve']['read']['port']}"
    assert told["DIARY_MCP_KETO_WRITE_URL"] == f"http://keto:{keto['serve']['write']['port']}"


def test_keto_runs_in_strict_mode_and_only_its_apis_are_reachable() -> None:
    keto = yaml.safe_load((DEPLOY / "keto.yml").read_text("utf-8"))

    assert keto["namespaces"]["experimental_strict_mode"] is True
    assert {keto["serve"][api]["host"] for api in ("metrics", "opl")} == {"127.0.0.1"}

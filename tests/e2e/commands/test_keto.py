"""The commands around a diary on a real Keto: groups, `reconcile` and `status`."""

import json
from collections.abc import Generator

import httpx
import pytest
from click.testing import CliRunner

from diary_mcp.commands.groups import group
from diary_mcp.commands.reconcile import reconcile
from diary_mcp.commands.status import status
from support.clients import Json, RawClient, raw_client
from support.ground_truth import ask, list_keto_tuples
from support.sites import KetoSite, add_agents, keto_site

pytestmark = pytest.mark.xdist_group("keto-commands")


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[KetoSite]:
    with keto_site(postgres_url, tmp_path_factory.mktemp("keto")) as opened:
        add_agents(opened.url, "bob", "cat")
        yield opened


@pytest.fixture(scope="module")
def alice(site: KetoSite) -> Generator[RawClient]:
    with raw_client(site.environment("alice")) as client:
        yield client.wait_until_up()


@pytest.fixture(scope="module")
def bob(site: KetoSite) -> Generator[RawClient]:
    with raw_client(site.environment("bob")) as client:
        yield client.wait_until_up()


def run_group(site: KetoSite, *arguments: str) -> str:
    """What `diary-mcp group` prints."""
    done = CliRunner().invoke(group, arguments, env=site.environment("operator"))
    assert done.exit_code == 0, done.exception
    return done.stdout.strip()


def run_reconcile(site: KetoSite, *flags: str) -> str:
    done = CliRunner().invoke(reconcile, flags, env=site.environment("operator"))
    assert done.exit_code == 0, done.exception
    return done.stdout.strip()


def look(site: KetoSite) -> Json:
    return json.loads(
        CliRunner().invoke(status, ["--json"], env=site.environment("operator")).stdout
    )


def place(site: KetoSite, **words: str) -> None:
    """Writes an entry's tuple past the diary."""
    httpx.put(
        f"{site.keto.write_url}/admin/relation-tuples",
        json={"namespace": "DiaryEntry", **words},
        verify=False,
    ).raise_for_status()


def test_what_a_member_may_read_follows_the_groups_at_once(
    site: KetoSite, alice: RawClient, bob: RawClient
) -> None:
    for name in ("team", "crew"):
        run_group(site, "add", name)
    run_group(site, "member", "add", "team", "group:crew")
    entry = alice.create("For the team.")
    shared = alice.call("diary_share", entry_id=entry["id"], with_="group:team")
    assert shared.code == "ok"
    site.check()

    def told() -> tuple[str, list[str], int]:
        groups = bob.call("diary_whoami").data["groups"]
        listed = bob.call("diary_list", scope="shared").data["entries"]
        return bob.call("diary_get", entry_id=entry["id"]).code, groups, len(listed)

    before = told()
    run_group(site, "member", "add", "crew", "bob")
    within = told()
    listed = run_group(site, "list")
    run_group(site, "member", "remove", "crew", "bob")
    after = told()

    assert before == after == ("not_found", [], 0)
    assert within == ("ok", ["crew", "team"], 1)
    assert listed == "crew: bob\nteam: group:crew"


def test_reconcile_repairs_what_status_tells_and_a_dry_run_changes_nothing(site: KetoSite) -> None:
    # Who settles an entry beside its workflow may come to it a moment after, and repair it, too.
    with raw_client(site.environment("alice")) as alice:
        entry, restored = alice.create("Adrift."), alice.create("Shared again by an older backup.")
        site.check()
    ask(
        site.url,
        "insert into diary.share (entry_id, grantee, granted_by, created_at)"
        " select %s::uuid, 'bob', 'alice', now()",
        restored["id"],
    )
    place(site, object=entry["id"], relation="viewer", subject_id="cat")
    place(site, object="", relation="viewer", subject_id="cat")
    adrift = set(list_keto_tuples(site.keto.address))

    told = look(site)
    dry = run_reconcile(site, "--dry-run")
    untouched = set(list_keto_tuples(site.keto.address))
    done = run_reconcile(site)

    assert (told["ok"], told["drift"]) == (False, 3)
    assert dry.splitlines() == [
        f"would let bob read entry {restored['id']}",
        "found 1 missing and 2 stray relation tuples; 0 waiting changes",
    ]
    assert untouched == adrift
    assert done == "repaired 1 missing and 2 stray relation tuples; settled 0 waiting changes"
    site.check()
    assert look(site)["problems"] == []

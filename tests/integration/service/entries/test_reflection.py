"""Digests of an owner's entries, on PostgreSQL."""

from datetime import UTC, datetime, timedelta

import pytest

from diary_mcp.app import Foundation
from diary_mcp.domain.entry import EntryDraft
from diary_mcp.domain.fields import AgentName, EntryId
from diary_mcp.domain.reflection import Mention
from diary_mcp.service.ports.reflection import EntrySelection
from diary_mcp.service.size_budget import MAX_DIGEST_BYTES, size_bytes

pytestmark = pytest.mark.anyio

ALICE = AgentName("alice")
BOB = AgentName("bob")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def write(foundation: Foundation, content: str, **fields: object) -> EntryId:
    draft = EntryDraft.model_validate({"content": content, **fields})
    return (await foundation.diary.entries.create(ALICE, draft)).id


def ids(mentions: tuple[Mention, ...]) -> list[EntryId]:
    return [mention.id for mention in mentions]


async def test_an_empty_diary_comes_to_nothing(foundation: Foundation) -> None:
    digest = await foundation.diary.reflection.reflect(EntrySelection(ALICE), 50)

    assert digest.model_dump() == {
        "entries": 0,
        "by_type": {},
        "by_tag": {},
        "most_important": (),
        "open_problems": (),
        "corrections": (),
        "last_handoff": None,
        "notice": None,
    }


async def test_entries_are_counted_by_type_and_by_tag(foundation: Foundation) -> None:
    await write(foundation, "a", type="problem", tags=["db", "slow"])
    await write(foundation, "b", type="problem", tags=["db"])
    await write(foundation, "c", tags=["ui"])

    digest = await foundation.diary.reflection.reflect(EntrySelection(ALICE), 50)

    assert digest.entries == 3
    assert list(digest.by_type.items()) == [("problem", 2), ("note", 1)]
    assert list(digest.by_tag.items()) == [("db", 2), ("slow", 1), ("ui", 1)]


async def test_a_problem_is_open_until_something_supersedes_it(foundation: Foundation) -> None:
    solved = await write(foundation, "solved", type="problem")
    still_open = await write(foundation, "# Still open\nmore", type="problem")
    await write(foundation, "the solution", supersedes=str(solved))

    digest = await foundation.diary.reflection.reflect(EntrySelection(ALICE), 50)

    assert ids(digest.open_problems) == [still_open]
    assert digest.open_problems[0].title == "Still open"
    assert solved not in ids(digest.most_important)


async def test_the_most_important_come_first_and_the_newer_of_two_alike(
    foundation: Foundation,
) -> None:
    older = await write(foundation, "older", importance=0.9, date=NOON)
    newer = await write(foundation, "newer", importance=0.9, date=NOON + timedelta(days=1))
    least = await write(foundation, "least", importance=0.1)

    digest = await foundation.diary.reflection.reflect(EntrySelection(ALICE), 50)

    assert ids(digest.most_important) == [newer, older, least]


async def test_a_progress_or_decision_that_supersedes_problems_has_solved_them(
    foundation: Foundation,
) -> None:
    first = await write(foundation, "one is broken", type="problem")
    second = await write(foundation, "two is broken", type="problem")
    note = await write(foundation, "it is A")
    restated = await write(foundation, "three is broken", type="problem")
    better = await write(foundation, "3 is broken", type="problem", supersedes=str(restated))

    solution = await write(
        foundation, "fixed", type="progress", supersedes=[str(first), str(second), str(note)]
    )

    digest = await foundation.diary.reflection.reflect(EntrySelection(ALICE), 50)
    context = await foundation.diary.reflection.recall(ALICE)
    assert [(each.id, set(ids(each.solves))) for each in digest.solved] == [
        (solution, {first, second})
    ]
    assert ids(digest.open_problems) == [better]
    assert {each.id: ids(each.corrects) for each in digest.corrections} == {
        solution: [note],
        better: [restated],
    }
    assert context.solved == digest.solved


async def test_a_chain_of_corrections_is_shown_from_what_holds_now(foundation: Foundation) -> None:
    first = await write(foundation, "first", type="decision", title="One")
    second = await write(foundation, "second", type="correction", supersedes=str(first))
    third = await write(foundation, "third", type="correction", supersedes=str(second))
    alone = await write(foundation, "names nothing", type="correction", date=NOON)

    digest = await foundation.diary.reflection.reflect(EntrySelection(ALICE), 50)

    assert ids(digest.corrections) == [third, alone]
    assert ids(digest.corrections[0].corrects) == [second, first]
    assert digest.corrections[0].corrects[1].title == "One"
    assert digest.corrections[1].corrects == ()


async def test_the_last_handoff_is_the_newest_by_date(foundation: Foundation) -> None:
    await write(foundation, "old", type="handoff", date=NOON)
    last = await write(foundation, "Go on here.", type="handoff", date=NOON + timedelta(hours=1))
    await write(foundation, "older", type="handoff", date=NOON - timedelta(hours=1))

    digest = await foundation.diary.reflection.reflect(EntrySelection(ALICE), 50)

    assert digest.last_handoff is not None
    assert (digest.last_handoff.id, digest.last_handoff.snippet) == (last, "Go on here.")


async def test_only_the_selected_time_and_types_are_looked_at(foundation: Foundation) -> None:
    await write(foundation, "before", type="problem", date=NOON - timedelta(days=1))
    inside = await write(foundation, "inside", type="problem", date=NOON)
    await write(foundation, "a handoff", type="handoff", date=NOON)
    await write(foundation, "after", type="problem", date=NOON + timedelta(days=1))
    selection = EntrySelection(ALICE, NOON, NOON, ["problem"])

    digest = await foundation.diary.reflection.reflect(selection, 50)

    assert digest.by_type == {"problem": 1}
    assert ids(digest.most_important) == ids(digest.open_problems) == [inside]
    assert digest.last_handoff is None


async def test_problems_are_not_listed_where_they_are_not_selected(foundation: Foundation) -> None:
    await write(foundation, "a problem", type="problem")
    selection = EntrySelection(ALICE, types=["decision"])

    digest = await foundation.diary.reflection.reflect(selection, 50)

    assert (digest.entries, digest.open_problems, digest.notice) == (0, (), None)


async def test_another_agents_entries_are_not_looked_at(foundation: Foundation) -> None:
    await write(foundation, "alice's", type="problem", tags=["hers"])

    digest = await foundation.diary.reflection.reflect(EntrySelection(BOB), 50)

    assert (digest.entries, digest.by_tag, digest.open_problems) == (0, {}, ())


async def test_the_limit_holds_for_each_list_and_the_notice_counts_the_rest(
    foundation: Foundation,
) -> None:
    for number in range(3):
        await write(foundation, f"problem {number}", type="problem")

    digest = await foundation.diary.reflection.reflect(EntrySelection(ALICE), 2)

    assert (len(digest.most_important), len(digest.open_problems)) == (2, 2)
    assert digest.notice is not None
    assert "2 of 3 open problems" in digest.notice


async def test_a_digest_of_long_entries_stays_small(foundation: Foundation) -> None:
    # Three bytes a letter: the limit is one of tokens, and these take more of them than English.
    for number in range(20):
        word = "日記" * 90
        tags = [f"{number}{'記' * 60}"]
        first = await write(foundation, word, type="problem", title=word, tags=tags)
        await write(foundation, word * 50, type="correction", supersedes=str(first))
        solved = await write(foundation, word * 50, type="problem")
        await write(foundation, word * 50, type="progress", supersedes=str(solved))
        await write(foundation, word * 50, type="handoff", title=word)
        await write(foundation, word, type="problem", tags=tags)

    digest = await foundation.diary.reflection.reflect(EntrySelection(ALICE), 200)

    assert size_bytes(digest.model_dump_json()) <= MAX_DIGEST_BYTES
    assert min(len(digest.open_problems), len(digest.corrections), len(digest.most_important)) > 2
    assert digest.notice is not None


async def test_the_same_rows_give_the_same_digest(foundation: Foundation) -> None:
    for number in range(5):
        await write(foundation, f"entry {number}", type="problem", date=NOON, tags=["a", "b"])

    one = await foundation.diary.reflection.reflect(EntrySelection(ALICE), 50)
    other = await foundation.diary.reflection.reflect(EntrySelection(ALICE), 50)

    assert one == other


async def test_a_blank_entry_has_a_name_in_a_digest(foundation: Foundation) -> None:
    await write(foundation, " \n\t\n# \n", title="")

    digest = await foundation.diary.reflection.reflect(EntrySelection(ALICE), 50)

    assert digest.most_important[0].title == "(blank)"


async def test_what_to_know_at_a_sessions_start_is_recalled(foundation: Foundation) -> None:
    wrong = await write(foundation, "wrong", type="decision")
    right = await write(foundation, "right", type="decision", supersedes=str(wrong))
    problem = await write(foundation, "problem", type="problem")
    handoff = await write(foundation, "# Whole\n" + "x" * 2_000, type="handoff")

    context = await foundation.diary.reflection.recall(ALICE)

    assert (context.agent, context.entries, context.open_problem_count) == (ALICE, 4, 1)
    assert ids(context.open_problems) == [problem]
    assert ids(context.recent_decisions) == [right]
    assert [(each.id, ids(each.corrects)) for each in context.corrections] == [(right, [wrong])]
    assert context.last_handoff is not None
    assert (context.last_handoff.id, len(context.last_handoff.content)) == (handoff, 2_008)

"""Which claims to supersede an entry become links."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from diary_mcp.domain.fields import EntryId
from diary_mcp.service.archive.supersession import choose_supersessions
from diary_mcp.service.ports.archive import Claim, Supersession
from diary_mcp.service.ports.entries import EntryReference

IDS = [EntryId(UUID(int=number)) for number in range(8)]
A, B, C, D = IDS[:4]


def test_the_first_of_several_claims_is_linked() -> None:
    claims = [Claim(B, "a"), Claim(C, "a")]

    assert choose_supersessions(claims, [EntryReference(A, "a")], [], {}) == [Supersession(B, A)]


def test_a_claim_is_found_by_key_by_path_by_file_name_and_by_id() -> None:
    candidates = [EntryReference(A, "a"), EntryReference(B, "x/y"), EntryReference(C, None)]
    claims = [Claim(D, "notes/a"), Claim(IDS[4], "notes/x%2Fy"), Claim(IDS[5], str(C))]

    assert choose_supersessions(claims, candidates, [], {"x%2Fy": "x/y"}) == [
        Supersession(D, A),
        Supersession(IDS[4], B),
        Supersession(IDS[5], C),
    ]


def test_the_whole_claim_wins_over_its_last_part() -> None:
    candidates = [EntryReference(A, "b"), EntryReference(B, "a/b")]

    assert choose_supersessions([Claim(C, "a/b")], candidates, [], {}) == [Supersession(C, B)]


def test_an_entry_does_not_supersede_itself_nor_close_a_circle() -> None:
    candidates = [EntryReference(entry_id, str(entry_id)) for entry_id in (A, B, C)]
    claims = [Claim(A, str(A)), Claim(B, str(A)), Claim(A, str(B))]

    assert choose_supersessions(claims, candidates, [], {}) == [Supersession(B, A)]
    linked = [Supersession(B, A), Supersession(C, B)]
    assert choose_supersessions([Claim(A, str(C))], candidates[2:], linked, {}) == []


@given(st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)), max_size=20))
def test_links_always_form_chains(pairs: list[tuple[EntryId, EntryId]]) -> None:
    claims = {newer: Claim(newer, str(older)) for newer, older in pairs}

    chosen = choose_supersessions(
        list(claims.values()), [EntryReference(entry_id, None) for entry_id in IDS], [], {}
    )

    older = {link.newer: link.older for link in chosen}
    assert len(set(older.values())) == len(chosen)
    for start in older:
        entry_id, steps = start, 0
        while entry_id in older:
            entry_id, steps = older[entry_id], steps + 1
            assert steps <= len(older), "a circle"

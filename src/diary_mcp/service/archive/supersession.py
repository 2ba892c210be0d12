"""Which claims of imported files to supersede an entry become links.

An entry is superseded by at most one, so links form trees; a claim within one tree would close a
circle, or give an entry two ways to the same.
"""

from collections.abc import Mapping, Sequence

from diary_mcp.domain.fields import EntryId, visible
from diary_mcp.domain.version import EntryRecord
from diary_mcp.service.ports.archive import Claim, Supersession
from diary_mcp.service.ports.entries import EntryReference


def base_name(claim: str) -> str:
    """The claim without the folders before the name."""
    return claim.rsplit("/", 1)[-1]


def choose_supersessions(
    claims: Sequence[Claim],
    candidates: Sequence[EntryReference],
    links: Sequence[Supersession],
    keys_by_name: Mapping[str, str],
) -> list[Supersession]:
    """The links to make, of claims in the order in which they may choose.

    Args:
        claims: claims that need not be linked yet.
        candidates: entries that nothing supersedes yet.
        links: every link there is.
        keys_by_name: keys of files whose name is not their key.
    """
    chains = _Chains(links)
    ids = {str(candidate.id): candidate.id for candidate in candidates}
    # A key wins over an id that looks the same.
    ids.update({visible(entry.key): entry.id for entry in candidates if entry.key is not None})
    chosen: list[Supersession] = []
    for claim in claims:
        older = _find_claimed(claim.name, ids, keys_by_name)
        if older is None or older in chains.superseded or not chains.join(claim.id, older):
            continue
        chosen.append(Supersession(claim.id, older))
    return chosen


def names_superseded(
    claims: Sequence[str], entry: EntryRecord, file_names: Mapping[EntryId, str] | None = None
) -> bool:
    """Whether the claims name all that the entry supersedes here or was signed to, and no more.

    Args:
        claims: names of files, keys or ids.
        entry: as it is kept.
        file_names: by which the superseded entries' files are known.
    """
    known = known_as(entry, file_names or {})
    return all(any(_is_named(claim, names) for names in known) for claim in claims) and all(
        any(_is_named(claim, names) for claim in claims) for names in known
    )


def known_as(entry: EntryRecord, file_names: Mapping[EntryId, str]) -> list[list[str]]:
    """Of each that the entry supersedes, or says it does: the names it is known by, the best first.

    An export names what was signed, also where that entry is deleted, and what was claimed and is
    not there.
    """
    linked = [
        [name for name in (file_names.get(older), key, str(older)) if name is not None]
        for older, key in zip(entry.supersedes, entry.superseded_keys, strict=True)
    ]
    claims = entry.source_keys or entry.signed_claims
    return linked + [
        [claim] for claim in claims if not any(_is_named(claim, names) for names in linked)
    ]


def _is_named(claim: str, names: Sequence[str]) -> bool:
    told = visible(claim)
    return not {visible(name) for name in names}.isdisjoint({told, base_name(told)})


def _find_claimed(
    claim: str, ids: Mapping[str, EntryId], keys_by_name: Mapping[str, str]
) -> EntryId | None:
    told = visible(claim)
    base = base_name(told)
    # First what is called so in this run: another file may have had the name before.
    names = (keys_by_name.get(told), told, keys_by_name.get(base), base)
    seen = [visible(name) for name in names if name is not None]
    return next((ids[name] for name in seen if name in ids), None)


class _Chains:
    """Which entries hang together: disjoint sets over the links."""

    def __init__(self, links: Sequence[Supersession]) -> None:
        self._parents: dict[EntryId, EntryId] = {}
        self.superseded: set[EntryId] = set()
        for link in links:
            self.join(link.newer, link.older)

    def join(self, newer: EntryId, older: EntryId) -> bool:
        """Links two chains; `False`, and nothing changes, where they are one already."""
        newer_root, older_root = self._root(newer), self._root(older)
        if newer_root == older_root:
            return False
        self._parents[newer_root] = older_root
        self.superseded.add(older)
        return True

    def _root(self, entry_id: EntryId) -> EntryId:
        root = entry_id
        while (parent := self._parents.get(root)) is not None:
            root = parent
        while entry_id != root:
            parent = self._parents[entry_id]
            self._parents[entry_id] = root
            entry_id = parent
        return root

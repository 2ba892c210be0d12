"""Secrets at the door: what looks like a credential is not written, unless that is wanted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from diary_mcp.domain.credentials import find_credential
from diary_mcp.domain.entry import Entry, EntryChanges, EntryDraft
from diary_mcp.domain.errors import InvalidArgumentError
from diary_mcp.domain.fields import MAX_TAGS

CREDENTIAL_TAG = "contains-secret"
"""On every entry in which a credential was let through."""


@dataclass(frozen=True)
class CredentialDoor:
    """Looks at every text that is to be written; `is_open` lets everything through.

    `way_through` is what a refused draft is told to be given with, where it is meant to be kept.
    """

    is_open: bool = False
    way_through: str = "allow_secret: true"

    def admit(
        self, draft: EntryDraft, *, allow: bool = False, front_matter: str | None = None
    ) -> EntryDraft:
        """The draft, tagged where it holds a credential that is let through.

        `front_matter` is kept beside it, and is looked at as well.

        Raises:
            InvalidArgumentError: it holds one that is not; says where it stands, not what it is.
        """
        texts = {**_texts(draft), "front matter": front_matter}
        if not self._must_be_tagged(texts, self.way_through, allow=allow):
            return draft
        return draft.model_copy(update={"tags": _tagged(draft.tags)})

    def admit_changes(self, entry: Entry, changes: EntryChanges) -> EntryChanges:
        """The same for a new version; an entry that is tagged may go on holding what it holds.

        Raises:
            InvalidArgumentError: as for a draft.
        """
        allow = CREDENTIAL_TAG in entry.tags
        if not self._must_be_tagged(_texts(changes), "DIARY_MCP_SECRETS=allow", allow=allow):
            return changes
        tags = entry.tags if changes.tags is None else changes.tags
        return changes.model_copy(update={"tags": _tagged(tags)})

    def check(self, name: str, text: str | None) -> None:
        """Refuses a text that belongs to no entry, such as the note of a share.

        Raises:
            InvalidArgumentError: it holds a credential.
        """
        self._must_be_tagged({name: text}, "DIARY_MCP_SECRETS=allow")

    def _must_be_tagged(
        self, texts: Mapping[str, str | None], way_through: str, *, allow: bool = False
    ) -> bool:
        for name, text in texts.items():
            found = find_credential(text) if text else None
            if found is None:
                continue
            if allow or self.is_open:
                return True
            raise InvalidArgumentError(
                f"{name} holds what looks like a credential ({found.kind}) at line {found.line}, "
                f"column {found.column}; nothing was written. Take it out: what is written here "
                f"is kept, searched and shared. Where it is meant to be kept: {way_through}."
            )
        return False


def _texts(entry: EntryDraft | EntryChanges) -> dict[str, str | None]:
    """Every text of the entry, by the name of its field."""
    given: dict[str, object] = dict(entry)
    texts: dict[str, str | None] = {
        name: value for name, value in given.items() if isinstance(value, str)
    }
    lists = {"tags": entry.tags, "supersedes": entry.supersedes}
    return {**texts, **{name: "\n".join(words or ()) for name, words in lists.items()}}


def _tagged(tags: Iterable[str]) -> list[str]:
    tagged = list(dict.fromkeys((*tags, CREDENTIAL_TAG)))
    if len(tagged) > MAX_TAGS:
        raise InvalidArgumentError(
            f"What is let through gets the tag {CREDENTIAL_TAG!r}, and there is no room for it: "
            f"give at most {MAX_TAGS - 1} tags."
        )
    return tagged

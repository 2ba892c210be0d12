"""The two permission backends as the contract sees them, and an administrator at their back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import httpx
import psycopg

from diary_mcp.app import PermissionBackend
from diary_mcp.domain.relations import RelationTuple, SubjectSet
from support.keto_config import KetoAddress


class Administrator(Protocol):
    """Works on a backend's tuples past our own checks."""

    async def place(self, tuples: Iterable[RelationTuple]) -> None:
        """Adds tuples of any shape."""
        ...

    async def empty(self) -> None:
        """Removes every tuple."""
        ...


@dataclass(frozen=True)
class Backend:
    """One backend and its administrator."""

    permissions: PermissionBackend
    administrator: Administrator


class KetoAdministrator:
    def __init__(self, address: KetoAddress) -> None:
        self._write_url = address.write_url

    async def place(self, tuples: Iterable[RelationTuple]) -> None:
        async with httpx.AsyncClient(base_url=self._write_url, verify=False) as client:
            for each in tuples:
                response = await client.put("/admin/relation-tuples", json=_as_json(each))
                response.raise_for_status()

    async def empty(self) -> None:
        async with httpx.AsyncClient(base_url=self._write_url, verify=False) as client:
            for namespace in ("Agent", "Group", "Diary", "DiaryEntry"):
                response = await client.delete(
                    "/admin/relation-tuples", params={"namespace": namespace}
                )
                response.raise_for_status()


class SqlAdministrator:
    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    async def place(self, tuples: Iterable[RelationTuple]) -> None:
        async with await psycopg.AsyncConnection.connect(self._database_url) as connection:
            for each in tuples:
                await connection.execute(
                    "insert into diary.relation_tuple values (%s, %s, %s, %s, %s, %s, %s)"
                    " on conflict do nothing",
                    _as_row(each),
                )

    async def empty(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._database_url) as connection:
            await connection.execute("delete from diary.relation_tuple")


def _as_json(each: RelationTuple) -> dict[str, object]:
    subject = each.subject
    words: dict[str, object] = {
        "namespace": each.namespace,
        "object": each.object,
        "relation": each.relation,
    }
    if isinstance(subject, SubjectSet):
        words["subject_set"] = {
            "namespace": subject.namespace,
            "object": subject.object,
            "relation": subject.relation,
        }
    else:
        words["subject_id"] = subject
    return words


def _as_row(each: RelationTuple) -> tuple[str | None, ...]:
    subject = each.subject
    if isinstance(subject, SubjectSet):
        members = (subject.namespace, subject.object, subject.relation)
        return (each.namespace, each.object, each.relation, None, *members)
    return (each.namespace, each.object, each.relation, subject, None, None, None)

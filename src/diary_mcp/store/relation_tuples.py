"""The embedded permission backend's relation tuples in PostgreSQL."""

from collections.abc import Collection, Iterable, Mapping

from psycopg.rows import args_row, kwargs_row

from diary_mcp.domain.relations import Grant, Membership, RelationTuple, Rule, SubjectSet
from diary_mcp.store.database import Database
from diary_mcp.store.sql import load_queries

_SQL = load_queries("relation_tuple")

Column = list[str | None]


class PostgresTuples:
    """Relation tuples, each method one statement on one snapshot, or one transaction.

    Raises (every method):
        DatabaseUnavailableError: PostgreSQL gives no answer in time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_granted(
        self, grant: Grant, subject: str, objects: Collection[str], *, max_depth: int
    ) -> list[str]:
        """Those of the objects that `subject` is granted, each once.

        `max_depth` is how many sets, one in the other, a chain of tuples may lead through.
        """
        parent = grant.parent
        question = {
            **_rule_columns("granting", grant.granting),
            **_rule_columns("lending", () if parent is None else parent.granting),
            "parent_namespace": parent and parent.holder.namespace,
            "parent_relation": parent and parent.holder.relation,
            "lender": parent and parent.namespace,
            **_rule_columns("membership", grant.membership),
            "subject": subject,
            "objects": list(objects),
            "max_depth": max_depth,
        }
        return await self._list_objects("list_granted", question)

    async def list_memberships(
        self, held: Membership, rules: Collection[Rule], subject: str, *, max_depth: int
    ) -> list[str]:
        """Objects that hold `subject`, by itself or in at most `max_depth` sets, each once."""
        question = {
            **_rule_columns("membership", rules),
            "namespace": held.namespace,
            "relation": held.relation,
            "subject": subject,
            "max_depth": max_depth,
        }
        return await self._list_objects("list_memberships", question)

    async def list_containing(self, holder: Membership, subjects: SubjectSet) -> list[str]:
        """Objects whose `holder` relation names `subjects` directly."""
        question = {
            "namespace": holder.namespace,
            "relation": holder.relation,
            "subject_namespace": subjects.namespace,
            "subject_object": subjects.object,
            "subject_relation": subjects.relation,
        }
        return await self._list_objects("list_containing", question)

    async def list_tuples(self, namespace: str, objects: Collection[str]) -> list[RelationTuple]:
        """Every tuple on one of the objects."""
        return await self._list_tuples(
            "list_tuples", {"namespace": namespace, "objects": list(objects)}
        )

    async def list_held(self, namespace: str, subject: str | SubjectSet) -> list[RelationTuple]:
        """Every tuple of the namespace with this subject."""
        is_plain = isinstance(subject, str)
        return await self._list_tuples(
            "list_held",
            {
                "namespace": namespace,
                "subject_id": subject if is_plain else None,
                "subject_namespace": None if is_plain else subject.namespace,
                "subject_object": None if is_plain else subject.object,
                "subject_relation": None if is_plain else subject.relation,
            },
        )

    async def list_next_tuples(
        self, namespace: str, after: str | None, limit: int
    ) -> list[RelationTuple]:
        """The tuples on the next `limit` objects after `after`, ordered by object."""
        return await self._list_tuples(
            "list_tuples_of_next_objects", {"namespace": namespace, "after": after, "limit": limit}
        )

    async def patch(
        self, *, insert: Collection[RelationTuple], delete: Collection[RelationTuple]
    ) -> int:
        """Inserts, then deletes, in one transaction.

        Returns:
            How many of `delete` were there.
        """
        async with self._database.transaction() as connection:
            if insert:
                await connection.execute(_SQL["insert_tuples"], _tuple_columns(insert))
            if not delete:
                return 0
            cursor = await connection.execute(_SQL["delete_tuples"], _tuple_columns(delete))
            return cursor.rowcount

    async def _list_objects(self, statement: str, question: Mapping[str, object]) -> list[str]:
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=args_row(str))
            await cursor.execute(_SQL[statement], question)
            return await cursor.fetchall()

    async def _list_tuples(
        self, statement: str, question: Mapping[str, object]
    ) -> list[RelationTuple]:
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=kwargs_row(read_relation_tuple))
            await cursor.execute(_SQL[statement], question)
            return await cursor.fetchall()


def read_relation_tuple(
    *,
    namespace: str,
    object: str,  # noqa: A002  # the column's name, and Keto's word
    relation: str,
    subject_id: str | None,
    subject_namespace: str,
    subject_object: str,
    subject_relation: str,
) -> RelationTuple:
    """A tuple from a row with these columns."""
    subject = (
        SubjectSet(subject_namespace, subject_object, subject_relation)
        if subject_id is None
        else subject_id
    )
    return RelationTuple(namespace, object, relation, subject)


def _rule_columns(prefix: str, rules: Iterable[Rule]) -> dict[str, Column]:
    rows = list(rules)
    return {
        f"{prefix}_namespaces": [rule.namespace for rule in rows],
        f"{prefix}_relations": [rule.relation for rule in rows],
        f"{prefix}_subject_namespaces": [
            rule.subjects and rule.subjects.namespace for rule in rows
        ],
        f"{prefix}_subject_relations": [rule.subjects and rule.subjects.relation for rule in rows],
    }


def _tuple_columns(tuples: Iterable[RelationTuple]) -> dict[str, Column]:
    rows = [(each, each.subject) for each in tuples]
    return {
        "namespaces": [each.namespace for each, _ in rows],
        "objects": [each.object for each, _ in rows],
        "relations": [each.relation for each, _ in rows],
        "subject_ids": [subject if isinstance(subject, str) else None for _, subject in rows],
        "subject_namespaces": [
            None if isinstance(subject, str) else subject.namespace for _, subject in rows
        ],
        "subject_objects": [
            None if isinstance(subject, str) else subject.object for _, subject in rows
        ],
        "subject_relations": [
            None if isinstance(subject, str) else subject.relation for _, subject in rows
        ],
    }

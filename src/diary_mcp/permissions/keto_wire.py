"""What goes over the wire to Ory Keto and back, as far as we read it.

Source: Ory Keto REST API, v0.13 and v26. Fields that we do not know are ignored; an answer that is
not Keto's, such as a proxy's, is never taken for one.
"""

from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Literal, NoReturn, Self, TypedDict, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from diary_mcp.domain.errors import PermissionRefusedError
from diary_mcp.domain.relations import RelationTuple, SubjectSet

JsonTuple = dict[str, str | dict[str, str]]
Shape = TypeVar("Shape", bound=BaseModel)

# A wrong token or address, or a busy server: once that is mended, the same request works.
_MENDABLE = frozenset({401, 403, 404, 405, 407, 408, 425, 429})


class UnusableAnswerError(Exception):
    """Why an answer says neither yes nor no, and that Keto or the way to it is not well."""


class UndecidedError(Exception):
    """Keto is well, but reached one of its limits before it knew."""


class Delta(TypedDict):
    """One part of a PATCH."""

    action: Literal["insert", "delete"]
    relation_tuple: JsonTuple


def as_json(each: RelationTuple) -> JsonTuple:
    """The tuple as Keto takes it."""
    json: JsonTuple = {
        "namespace": each.namespace,
        "object": each.object,
        "relation": each.relation,
    }
    if isinstance(each.subject, str):
        json["subject_id"] = each.subject
    else:
        json["subject_set"] = {
            "namespace": each.subject.namespace,
            "object": each.subject.object,
            "relation": each.subject.relation,
        }
    return json


def as_deltas(
    insert: Collection[RelationTuple], delete: Collection[RelationTuple]
) -> Sequence[Delta]:
    """Inserts before deletes, which is the order that Keto applies them in."""
    return [
        *(Delta(action="insert", relation_tuple=as_json(each)) for each in insert),
        *(Delta(action="delete", relation_tuple=as_json(each)) for each in delete),
    ]


def subject_query(subject: str | SubjectSet) -> dict[str, str]:
    """The part of a list's query that asks for one subject."""
    if isinstance(subject, str):
        return {"subject_id": subject}
    return {
        "subject_set.namespace": subject.namespace,
        "subject_set.object": subject.object,
        "subject_set.relation": subject.relation,
    }


class _Answer(BaseModel):
    # Keto's texts may show its database's address, so they stay out of our error messages.
    model_config = ConfigDict(
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
        # Pages name each entry once: what was read of the last ones need not stay in memory.
        cache_strings="keys",
    )


class _WireSubjectSet(_Answer):
    namespace: str
    object: str
    relation: str = ""


class _WireTuple(_Answer):
    namespace: str
    object: str
    relation: str
    subject_id: str | None = None
    subject_set: _WireSubjectSet | None = None

    @model_validator(mode="after")
    def _require_one_subject(self) -> Self:
        if (self.subject_id is None) is (self.subject_set is None):
            raise ValueError("must have either subject_id or subject_set")
        return self

    def to_relation_tuple(self) -> RelationTuple:
        return RelationTuple(self.namespace, self.object, self.relation, self._subject())

    def _subject(self) -> str | SubjectSet:
        if self.subject_set is None:
            return self.subject_id or ""
        members = self.subject_set
        return SubjectSet(members.namespace, members.object, members.relation)


class TuplesPage(_Answer):
    """One page of tuples; the last has no token."""

    relation_tuples: list[_WireTuple] | None
    next_page_token: str = ""

    @property
    def tuples(self) -> list[RelationTuple]:
        return [each.to_relation_tuple() for each in self.relation_tuples or ()]


class _CheckAnswer(_Answer):
    allowed: bool


class _BatchItem(_Answer):
    allowed: bool
    error: str = ""


class _BatchAnswer(_Answer):
    results: list[_BatchItem]


class _NamespaceItem(_Answer):
    name: str


class _NamespacesAnswer(_Answer):
    # Absent where the OPL file is broken.
    namespaces: list[_NamespaceItem] | None = None


class _ErrorBody(_Answer):
    code: int


class _ErrorAnswer(_Answer):
    error: _ErrorBody


def read_success(status: int, _content: bytes) -> None:
    """Only that the request succeeded."""
    if not _is_success(status):
        _refuse(status)


def read_namespaces(status: int, content: bytes) -> set[str]:
    """The names of the namespaces that Keto runs with."""
    if status != HTTPStatus.OK:
        _refuse(status)
    return {item.name for item in _parse(_NamespacesAnswer, content).namespaces or ()}


def read_page(query: Mapping[str, str], status: int, content: bytes) -> TuplesPage:
    """One page of the tuples that fit `query`.

    What is listed may be deleted next, so an answer to another question must not pass.
    """
    if status != HTTPStatus.OK:
        _refuse(status)
    page = _parse(TuplesPage, content)
    if not all(query.items() <= _as_query(each).items() for each in page.tuples):
        raise UnusableAnswerError("tuples that were not asked for")
    return page


def read_check(status: int, content: bytes) -> bool | None:
    """Yes or no; `None` where Keto refuses to decide because of other tuples on the object."""
    if status == HTTPStatus.BAD_REQUEST:
        _parse(_ErrorAnswer, content)
        return None
    if status not in {HTTPStatus.OK, HTTPStatus.FORBIDDEN}:
        _refuse(status)
    allowed = _parse(_CheckAnswer, content).allowed
    if allowed and status != HTTPStatus.OK:
        _refuse(status)
    return allowed


def read_batch(count: int, status: int, content: bytes) -> list[bool | None] | None:
    """Yes or no for each of `count` checks, `None` where it must be asked alone.

    `None` for the whole where this server takes no batches, or none of this size.
    """
    if status in {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    }:
        return None
    if status != HTTPStatus.OK:
        _refuse(status)
    results = _parse(_BatchAnswer, content).results
    if len(results) != count:
        raise UnusableAnswerError("an answer that is not Keto's")
    return [None if item.error else item.allowed for item in results]


def read_patch(status: int, _content: bytes) -> bool:
    """Whether the patch was applied; `False` where it names a namespace that is not there.

    Raises:
        PermissionRefusedError: Keto will not take it, however often it is sent.
    """
    if _is_success(status):
        return True
    if status == HTTPStatus.NOT_FOUND:
        return False
    if _is_client_error(status) and status not in _MENDABLE:
        raise patch_refused(status)
    return _refuse(status)


def patch_refused(status: int) -> PermissionRefusedError:
    """What to say of a patch that Keto will never take."""
    return PermissionRefusedError(
        f"Ory Keto refuses this change of relation tuples (status {status}); its log says why. "
        "`diary-mcp reconcile` tries again."
    )


def _as_query(each: RelationTuple) -> dict[str, str]:
    return {
        "namespace": each.namespace,
        "object": each.object,
        "relation": each.relation,
        **subject_query(each.subject),
    }


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _is_client_error(status: int) -> bool:
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR


def _refuse(status: int) -> NoReturn:
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        raise UndecidedError
    raise UnusableAnswerError(f"status {status}")


def _parse(shape: type[Shape], content: bytes) -> Shape:
    try:
        return shape.model_validate_json(content)
    except ValidationError:
        raise UnusableAnswerError("an answer that is not Keto's") from None

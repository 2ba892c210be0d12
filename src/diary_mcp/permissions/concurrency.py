"""Several questions at once, with the first error as itself and not in a group."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from anyio import create_task_group

from diary_mcp.domain.errors import DiaryError

Question = TypeVar("Question")
Answer = TypeVar("Answer")


async def ask_all(
    ask: Callable[[Question], Awaitable[Answer]], questions: Iterable[Question]
) -> list[Answer]:
    """Every answer, in no particular order; the first error ends the others.

    Raises:
        DiaryError: what the first failing question raised.
    """
    answers: list[Answer] = []
    errors: list[DiaryError] = []

    async with create_task_group() as tasks:

        async def ask_one(question: Question) -> None:
            try:
                answers.append(await ask(question))
            except DiaryError as error:
                errors.append(error)
                tasks.cancel_scope.cancel()

        for question in questions:
            tasks.start_soon(ask_one, question)
    if errors:
        raise errors[0]
    return answers

"""Whoever can write the database tries to run code through the rows of the workflows."""

import base64
import logging
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from structlog.testing import capture_logs

from diary_mcp.store.workflow_queue import count_refused_rows
from diary_mcp.workflows.json_rows import UnsafeDbosError
from support.workflows import Diary, eventually, open_diary

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Payload:
    """Makes a file when it is unpickled."""

    marker: Path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.marker,)

    @property
    def text(self) -> str:
        return base64.b64encode(pickle.dumps(self)).decode()


INPUT = """
    with changed as (
        update dbos.workflow_status set serialization = %s where queue_name = 'permissions'
        returning workflow_uuid
    )
    update dbos.workflow_input set inputs = %s
    where workflow_uuid in (select workflow_uuid from changed)
"""
STEP_OUTPUT = """
    insert into dbos.operation_outputs
        (workflow_uuid, function_id, function_name, serialization, output)
    select workflow_uuid, 1, 'settle', %s, %s from dbos.workflow_status
    where queue_name = 'permissions'
"""
STEP_ERROR = STEP_OUTPUT.replace("output)", "error)")


async def is_finished(diary: Diary) -> bool:
    return not await diary.query(
        "select 1 from dbos.workflow_status"
        " where queue_name = 'permissions' and status in ('ENQUEUED', 'PENDING')"
    )


@pytest.mark.parametrize(
    "attack", [INPUT, STEP_OUTPUT, STEP_ERROR], ids=["input", "step output", "step error"]
)
@pytest.mark.parametrize("serialization", ["py_pickle", None])
async def test_a_pickle_in_a_row_is_refused_before_it_is_decoded(
    database_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    attack: str,
    serialization: str | None,
) -> None:
    payload = Payload(tmp_path / "was-run")
    async with open_diary(database_url) as diary:
        await diary.create()
        await diary.query(attack, serialization, payload.text)

        with caplog.at_level(logging.WARNING), capture_logs() as logs:
            async with diary.runtime():
                await eventually(lambda: is_finished(diary))
        refused = [event for event in logs if event["event"] == "workflow.row_refused"]

        assert not payload.marker.exists()
        assert await diary.statuses() == ["ERROR"]
        assert bool(refused) == (serialization == "py_pickle")
        assert payload.text not in f"{logs} {caplog.text}"
        assert await count_refused_rows(diary.database) == 1


async def test_a_row_in_a_form_that_nobody_knows_is_refused_and_not_tried_for_ever(
    database_url: str,
) -> None:
    async with open_diary(database_url) as diary:
        await diary.create()
        await diary.query(INPUT, "js_superjson", "not to be told")

        with capture_logs() as logs:
            async with diary.runtime():
                await eventually(lambda: is_finished(diary))
        refused = [event for event in logs if event["event"] == "workflow.row_refused"]

        assert await diary.statuses() == ["ERROR"]
        assert len(refused) == 1
        assert "not to be told" not in str(logs)
        assert await count_refused_rows(diary.database) == 1


async def test_what_the_workflows_themselves_write_is_json(database_url: str) -> None:
    async with open_diary(database_url) as diary, diary.runtime():
        await diary.create()
        await eventually(diary.is_settled)

        assert await count_refused_rows(diary.database) == 0
        assert await diary.query(
            "select distinct serialization from"
            " (select serialization from dbos.workflow_status"
            " union all select serialization from dbos.operation_outputs) as values"
        ) == [("portable_json",)]


async def test_no_start_goes_on_where_dbos_has_another_way_to_read_a_row(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = ModuleType("dbos.stranger")
    stranger.pickle = pickle  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dbos.stranger", stranger)
    async with open_diary(database_url) as diary:
        entry_id = await diary.create()

        with pytest.raises(UnsafeDbosError, match=r"dbos\.stranger"):
            await diary.runtime().__aenter__()

        assert await diary.calls(entry_id) == []
        monkeypatch.delitem(sys.modules, "dbos.stranger")
        async with diary.runtime():
            await eventually(diary.is_settled)

"""Every tool with arguments that nobody thought of: answered with a code, and never a fault."""

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diary_mcp.server.tools.catalogue import TOOLS
from support.clients import Json, RawClient, answer_of
from support.hostile import CODES, FUZZED, arguments_for, mutated
from support.sites import Deployment

pytestmark = pytest.mark.xdist_group("e2e-shared")

SCHEMAS: dict[str, Json] = {
    name: {"in": tool.described().input_schema, "out": tool.described().output_schema}
    for name, tool in TOOLS.items()
}


def answers(client: RawClient, tool: str, arguments: Json) -> None:
    """The tool answers the arguments, in the form that it declares or with a known code."""
    answer = answer_of(client.request("tools/call", {"name": tool, "arguments": arguments}))

    assert answer.code in CODES, answer.text
    if not answer.is_error:
        jsonschema.validate(answer.data, SCHEMAS[tool]["out"])


@pytest.mark.parametrize("tool", TOOLS)
def test_arguments_that_fit_the_schema_are_answered(site: Deployment, tool: str) -> None:
    @FUZZED
    @given(st.data())
    def run(data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(site.of_each_era))
        answers(client, tool, data.draw(arguments_for(SCHEMAS[tool]["in"])))

    run()


@pytest.mark.parametrize("tool", TOOLS)
def test_arguments_that_fit_no_schema_are_answered(site: Deployment, tool: str) -> None:
    @FUZZED
    @given(st.data())
    def run(data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(site.of_each_era))
        answers(client, tool, data.draw(mutated(SCHEMAS[tool]["in"])))

    run()

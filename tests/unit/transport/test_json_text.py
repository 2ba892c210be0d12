"""Every line is a message, is answered, or is nobody's to wait for."""

import pytest
from mcp_types import JSONRPCNotification, JSONRPCRequest

from diary_mcp.domain.fields import REPEATED
from diary_mcp.transport.json_text import Refusal, as_read, find_id, read_message

REQUEST = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":%b}'


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"{nonsense", -32700, None),
        (b"", -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"[" * 100_000, -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":NaN}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":Infinity,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":%b,"method":"ping"}' % (b"9" * 5_000), -32700, None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, None),
        (b'"text"', -32600, None),
        (b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', -32600, None),
        (b"{}", -32600, None),
        (b'{"id":1,"method":"ping"}', -32600, 1),
        (b'{"jsonrpc":"1.0","id":"a","method":"ping"}', -32600, "a"),
        (b'{"jsonrpc":"2.0","id":2,"method":7}', -32600, 2),
        (b'{"jsonrpc":"2.0","id":3}', -32600, 3),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":4,"method":"ping","params":"x"}', -32602, 4),
        (b'{"jsonrpc":"2.0","id":5,"method":"ping","params":[1]}', -32602, 5),
        (b'{"jsonrpc":"2.0","id":6,"method":"x","method":"ping"}', -32600, 6),
        (b'{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","method":"x","method":"y","id":7,"id":8}', -32600, None),
        (REQUEST % b'{"name":"a","n\\u0061me":"a"}', -32600, 7),
        (REQUEST % b'{"_meta":{"a":1,"a":1}}', -32600, 7),
        (
            REQUEST.replace(b"tools/call", b"prompts/get") % b'{"arguments":{"a":"","a":""}}',
            -32600,
            7,
        ),
        (REQUEST % b'{"%b":1,"%b":2}' % (b"x" * 9_000, b"x" * 9_000), -32600, 7),
        (b'[{"a":1,"a":1}]', -32600, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_message_is_refused_with_its_id_where_it_can_be_read(
    line: bytes, code: int, request_id: object
) -> None:
    read = read_message(line)

    assert isinstance(read, Refusal)
    assert (read.error.error.code, read.error.id) == (code, request_id)
    assert len(read.error.error.message) < 100


def test_an_argument_that_is_given_twice_has_neither_value() -> None:
    line = REQUEST % b'{"arguments":{"content":"a","title":"b","con\\u0074ent":"c"}}'

    message = read_message(line)
    assert isinstance(message, JSONRPCRequest)

    assert message.params == {"arguments": {"content": REPEATED, "title": "b"}}
    assert read_message(as_read(line, message)) == message


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","method":"x","params":4}',
        b'{"jsonrpc":"1.0","method":"notifications/initialized"}',
        b'{"jsonrpc":"2.0","id":1,"result":[]}',
        b'{"jsonrpc":"2.0","id":{},"error":{}}',
    ],
)
def test_nobody_waits_for_the_answer_to_a_notification_or_to_an_answer(line: bytes) -> None:
    assert read_message(line) is None


@pytest.mark.parametrize(
    ("params", "read"),
    [
        (b"[]", {}),
        (b'{"name":"x","arguments":[]}', {"name": "x", "arguments": {}}),
        (b'{"name":"x","arguments":{"tags":[]}}', {"name": "x", "arguments": {"tags": []}}),
        (b'{"capabilities":[],"_meta":[]}', {"capabilities": {}, "_meta": {}}),
    ],
)
def test_an_empty_list_stands_for_an_empty_object(params: bytes, read: object) -> None:
    line = REQUEST % params

    message = read_message(line)
    assert isinstance(message, JSONRPCRequest)
    again = read_message(as_read(line, message))

    assert message.params == read
    assert again == message


def test_a_notification_is_a_message() -> None:
    line = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'

    assert isinstance(read_message(line), JSONRPCNotification)


@pytest.mark.parametrize(
    ("head", "request_id"),
    [
        (b'{"jsonrpc":"2.0","id":12,"method":', 12),
        (b'{"id": "abc" ,"method":', "abc"),
        (b'{"method":"tools/call","params":{' + b" " * 300 + b'"id":3}', None),
        (b'{"id":{"id', None),
    ],
)
def test_the_id_of_what_is_too_much_is_read_from_its_beginning(
    head: bytes, request_id: object
) -> None:
    assert find_id(head) == request_id

"""What the bounds on strangers rely on in uvicorn, whose protocol class is not its public API."""

import inspect

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from diary_mcp.transport.http.protocol import BoundedHttpProtocol

OVERRIDDEN = {
    name
    for name, member in vars(BoundedHttpProtocol).items()
    if inspect.isfunction(member) and not name.startswith("_")
} - {"sign_in", "worth"}  # our own


def test_every_method_that_is_overridden_is_there_with_the_same_arguments() -> None:
    for name in OVERRIDDEN:
        ours, theirs = getattr(BoundedHttpProtocol, name), getattr(HttpToolsProtocol, name)
        assert list(inspect.signature(ours).parameters) == list(
            inspect.signature(theirs).parameters
        )


def test_what_is_used_of_a_connection_is_there() -> None:
    assert callable(HttpToolsProtocol.send_400_response)
    source = inspect.getsource(HttpToolsProtocol)
    assert "self.cycle = " in source
    assert "self.loop = " in source
    assert "self.transport = " in source
    assert "self.response_complete = " in inspect.getsource(RequestResponseCycle)

"""Nothing of OpenTelemetry's SDK is imported where nobody asked for it."""

from support.fork_server import start_program
from support.imported_sdk import PROGRAM


def test_a_server_that_nobody_observes_imports_no_sdk() -> None:
    """The fork server has imported all that a server does, and more."""
    process = start_program(PROGRAM)
    assert process.stdout is not None
    assert process.stdin is not None
    with process.stdin, process.stdout as output:
        said = output.read()

    assert process.wait(60) == 0
    assert said == b"[]\n"

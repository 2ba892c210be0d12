"""Prints which modules of OpenTelemetry's SDK a server has imported; run as a script."""

import importlib
import sys

# What a server imports, whichever transport it serves.
_OF_A_SERVER = (
    "diary_mcp.app",
    "diary_mcp.workflows.runtime",
    "diary_mcp.serving.stdio",
    "diary_mcp.serving.http",
)
PROGRAM = __file__


if __name__ == "__main__":
    for name in _OF_A_SERVER:
        importlib.import_module(name)
    of_the_sdk = ("opentelemetry.sdk", "opentelemetry.exp")
    print([name for name in sys.modules if name.startswith(of_the_sdk)])  # noqa: T201

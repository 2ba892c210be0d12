"""Nothing of OpenTelemetry's SDK is imported where nobody asked for it."""

import subprocess
import sys

# What a server imports, whichever transport it serves.
IMPORTS = """\
import sys, diary_mcp.app, diary_mcp.workflows.runtime
import diary_mcp.serving.stdio, diary_mcp.serving.http
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exp"))])
"""


def test_a_server_that_nobody_observes_imports_no_sdk() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "[]\n"

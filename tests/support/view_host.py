"""A host for views in a browser: the client and the bridge of the extension's own package.

The page asks a real server over HTTP, and shows a view in a sandbox of another origin.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copy
from urllib.parse import urlencode

from support.node_tools import EXT_APPS
from support.paths import TESTS

_SOURCES = TESTS / "support" / "view_host"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as the base names it
        pass


@contextmanager
def view_host(folder: Path, server: str, token: str) -> Generator[str]:
    """The address of a host that is signed in to the server at `/mcp`.

    Skips the test, saying why, where its packages cannot be had.
    """
    for page in ("host.html", "sandbox.html"):
        copy(_SOURCES / page, folder)
    bundled = EXT_APPS.run(
        _SOURCES / "host.js", "--bundle", "--format=esm", f"--outfile={folder / 'host.js'}",
        environment={"NODE_PATH": str(EXT_APPS.path().parents[1])},
    )  # fmt: skip
    assert bundled.returncode == 0, bundled.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        port = pages.server_port
        settings = urlencode(
            {
                "server": f"{server}/mcp",
                "token": token,
                # By another name, which makes it another origin.
                "sandbox": f"http://localhost:{port}/sandbox.html",
            }
        )
        try:
            yield f"http://127.0.0.1:{port}/host.html#{settings}"
        finally:
            pages.shutdown()

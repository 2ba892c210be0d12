"""The proxy before the replicas, as nginx itself reads its file."""

import shutil
import subprocess
from pathlib import Path

import pytest

from support.paths import ROOT

DEPLOY = ROOT / "deploy"


def test_the_proxy_s_configuration_is_one_that_nginx_takes(tmp_path: Path) -> None:
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("There is no nginx here to read deploy/nginx.conf.")
    # nginx looks the names up, which only the deployment's network knows.
    proxy = (DEPLOY / "nginx.conf").read_text("utf-8").replace("diary-", "127.0.0.")
    config = tmp_path / "nginx.conf"
    config.write_text(proxy)
    own_files = f"pid {tmp_path}/nginx.pid; error_log stderr;"

    done = subprocess.run(
        [nginx, "-t", "-p", str(tmp_path), "-c", str(config), "-g", own_files],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr

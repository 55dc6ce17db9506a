"""A real PgBouncer in transaction mode, as Kubernetes users put it in front of their Postgres."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.gateway import gateway
from tests.prometheus import free_port
from tests.servers import eventually


@contextmanager
def pooled(server_url: str, directory: Path) -> Iterator[str]:
    """Give the URL of a PgBouncer before ``server_url``; all who come are its user. Skips, but for CI, without one.

    Seven connections to the server for everybody, so that none can rely on having one for itself.
    """
    program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no pgbouncer (Debian: pgbouncer)")
    port, server = free_port(), conninfo_to_dict(server_url)
    directory.mkdir(exist_ok=True)
    # It is somebody else where we are root, and the server asks the kernel who comes: through the gateway it is us.
    with gateway(str(server["host"]), int(str(server.get("port") or 5432))) as (upstream, _):
        secrets = "".join(f" {key}='{server[key]}'" for key in ("user", "password") if key in server)
        (directory / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={upstream}{secrets}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 7\nmax_client_conn = 500\n"
            "server_login_retry = 1\nserver_check_delay = 1\n"
        )
        # It refuses to be root, and reads its file before it is somebody else.
        command = [program, *(["-u", "nobody"] if os.geteuid() == 0 else []), str(directory / "pgbouncer.ini")]
        log = directory / "pgbouncer.log"
        with log.open("w") as stream, subprocess.Popen(command, stderr=stream) as process:
            try:
                assert eventually(lambda: _listens(port), 10), log.read_text()
                # Also when somebody comes who asks libpq for nobody's password.
                yield make_conninfo(host="127.0.0.1", port=port, user=server.get("user", "vmcrawl"), dbname="postgres")
            finally:
                process.kill()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False

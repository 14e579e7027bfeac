"""The frame of a configuration of nginx, and the command that runs it: for checks that put nginx before a server."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

FRAME = """
daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes {processes}; user {user};
events {{ worker_connections 4096; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {text}
}}
"""
#: For `http`: kept connections to the server, which all clients share, and WebSockets.
KEPT_CONNECTIONS = """
    map $http_upgrade $connection_of_upgrade { default upgrade; "" ""; }
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_of_upgrade;
"""


def command(folder: str | Path, text: str, processes: int = 2, user: str = "") -> list[str]:
    """Write a configuration with *text* in its `http` into *folder*, and return the command that runs nginx on it.

    The worker processes are those of *user*; by default, of the user of this process.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if program is None:
        raise AssertionError("nginx is missing (Debian: apt-get install nginx-light)")
    user = user or pwd.getpwuid(os.getuid()).pw_name
    path = Path(folder, "nginx.conf")
    path.write_text(FRAME.format(folder=folder, processes=processes, user=user, text=text))
    return [program, "-e", "stderr", "-p", str(folder), "-c", str(path)]

"""A private nginx: everything below one directory, one port of 127.0.0.1 a site."""

import contextlib
import pathlib

from . import daemon, machine
from .web import Site

PROGRAM = "/usr/sbin/nginx"

_MAIN = """\
daemon off;
user www-data;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log;
events {{ worker_connections 256; }}
http {{
  access_log {directory}/nginx-access.log;
  client_body_temp_path {directory}/nginx-body;
  fastcgi_temp_path {directory}/nginx-fastcgi;
  proxy_temp_path {directory}/nginx-proxy;
  uwsgi_temp_path {directory}/nginx-uwsgi;
  scgi_temp_path {directory}/nginx-scgi;
  client_max_body_size 0;
  include /etc/nginx/mime.types;
{servers}
}}
"""
# What an admin writes around the lines of `paddock vhost --server nginx`.
_SERVER = """\
  server {{
    listen 127.0.0.1:{port};
    root "{docroot}";
    index index.php index.html;
{lines}
  }}
"""


class Nginx:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self._sites = []

    def add_site(self, docroot, lines):
        """`lines`: of the server's block; relative includes are of /etc/nginx, as in its own config."""
        site = Site(machine.free_port())
        self._sites.append((site, docroot, lines.replace("include fastcgi_params", "include /etc/nginx/fastcgi_params")))
        return site

    @contextlib.contextmanager
    def running(self):
        servers = "".join(_SERVER.format(port=site.port, docroot=docroot, lines=lines)
                          for site, docroot, lines in self._sites)
        config = self.directory / "nginx.conf"
        config.write_text(_MAIN.format(directory=self.directory, servers=servers))
        arguments = [PROGRAM, "-p", str(self.directory), "-e", str(self.directory / "nginx-error.log"), "-c", str(config)]
        with daemon.running(arguments, self._answers, "nginx answers"):
            yield self

    def _answers(self):
        with contextlib.suppress(OSError):
            return all(site.get("/is-not-there.html", seconds=5) for site, _, _ in self._sites)
        return None

"""A private Apache: event MPM and mod_proxy_fcgi, everything below one directory, one port of 127.0.0.1 a site."""

import contextlib
import dataclasses
import pathlib
import re
import signal
import subprocess

from . import machine, process
from .web import Site

PROGRAM = "/usr/sbin/apache2"
MODULE = machine.BIN / "mod_paddock.so"
MODULES = "/usr/lib/apache2/modules"
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "png": "image/png"}
_LOADED = ("authz_core", "mime", "dir", "alias", "env", "setenvif", "headers", "rewrite")

_BEGINNING = """\
ServerRoot {directory}
ServerName localhost
PidFile {directory}/apache.pid
DefaultRuntimeDir {directory}
ErrorLog {directory}/apache-error.log
User {user}
Group {user}
{modules}
TypesConfig /dev/null
{types}
"""

# What a host's Apache lets a site's .htaccess do.
DIRECTORY = """\
<Directory {docroot}>
  AllowOverride All Nonfatal=Unknown
  Options FollowSymLinks
  Require all granted
  DirectoryIndex index.php index.html
</Directory>
"""

_MAIN = """\
LogFormat "%h %v:%p \\"%r\\" %>s %B %D" short
CustomLog {directory}/apache-access.log short
StartServers {servers}
ServerLimit {servers}
MaxRequestWorkers {workers}
<IfModule !mpm_prefork_module>
  ThreadsPerChild {threads}
  MinSpareThreads 1
  MaxSpareThreads {workers}
</IfModule>
Timeout {timeout}
KeepAlive On
LimitRequestBody 0
<Directory />
  AllowOverride None
  Require all denied
</Directory>
"""

# What an admin writes, once a tenant: files are matched, not URLs, so that what is no file is Apache's own 404.
_SITE = """\
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
ServerName localhost:{port}
DocumentRoot {docroot}
""" + DIRECTORY + """\
{handler}
</VirtualHost>
"""

# flushpackets: what PHP flushes goes out at once. The worker is named as SetHandler names it, without enablereuse.
HANDLER = """\
  <FilesMatch "\\.php$">
    SetHandler "proxy:unix:{socket}|fcgi://{tenant}"
  </FilesMatch>
  <Proxy "unix:{socket}|fcgi://{tenant}">
    ProxySet flushpackets=on
  </Proxy>
"""


# The same with mod_paddock.
MODULE_HANDLER = """\
  PaddockTenant {tenant}
"""
_MODULE = """\
LoadModule paddock_module {module}
PaddockConfig {config}
<IfModule mpm_event_module>
  AsyncRequestWorkerFactor 100
</IfModule>
"""


# A child that crashed, or what a module under sanitizers reports.
_ALARMS = re.compile(r".*(exit signal|Sanitizer|runtime error:).*(\n.*){0,40}")


def beginning(directory, user, mpm, modules=()):
    """What any Apache here is told first, whoever runs PHP; `modules`: beside those that all have."""
    loaded = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so"
                       for name in (f"mpm_{mpm}", *_LOADED, *modules))
    types = "\n".join(f"AddType {kind} .{suffix}" for suffix, kind in _TYPES.items())
    return _BEGINNING.format(directory=directory, user=user, modules=loaded, types=types)


@dataclasses.dataclass
class _Site:
    tenant: str
    docroot: pathlib.Path
    handler: str
    site: Site


class Apache:
    def __init__(self, directory, user="www-data", servers=2, threads=25, paddock=None, main="", command=(PROGRAM,),
                 mode="-DFOREGROUND", mpm="event"):
        """`paddock`: speak to that instance through mod_paddock; `main`: lines for the server's config."""
        self.directory = pathlib.Path(directory)
        self.user = user
        self.servers = servers
        self.threads = threads
        self.main = main
        self.command = command
        self.mode = mode
        self.mpm = mpm
        self.paddock = paddock
        self.process = None
        self._sites = []

    def add_site(self, tenant, docroot, socket, handler=None):
        site = Site(0)
        handler = handler or (MODULE_HANDLER if self.paddock else HANDLER)
        self._sites.append(_Site(tenant, docroot, handler.format(socket=socket, tenant=tenant), site))
        return site

    def _write(self):
        text = beginning(self.directory, self.user, self.mpm, ("proxy", "proxy_fcgi"))
        text += _MAIN.format(directory=self.directory, servers=self.servers, threads=self.threads,
                             workers=self.servers * self.threads, timeout=int(machine.patience(60)))
        if self.paddock:
            text += _MODULE.format(module=MODULE, config=self.paddock.config)
        text += self.main
        for entry in self._sites:
            text += _SITE.format(port=entry.site.port, docroot=entry.docroot, handler=entry.handler)
        (self.directory / "apache.conf").write_text(text)

    def start(self):
        """Starts it; a port that somebody else took meanwhile is replaced by another."""
        for _ in range(5):
            for entry in self._sites:
                entry.site.port = machine.free_port()
            self._write()
            with open(self.directory / "apache-output.log", "wb") as output:
                self.process = subprocess.Popen(
                    [*self.command, "-f", str(self.directory / "apache.conf"), self.mode],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                    # At its end the MPM prefork signals its whole process group.
                    preexec_fn=process.end_with_parent, process_group=0,
                    env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self._sanitizer()})
            machine.wait_for(lambda: self.process.poll() is not None or self._answers(), 20,
                             "Apache answers or has ended")
            if self.process.poll() is None:
                return self
            output = "".join(file.read_text(errors="replace") for file in self._logs() if file.exists())
            status, self.process = self.process.returncode, None
            if "Address already in use" not in output:
                raise RuntimeError(f"Apache did not start ({status}):\n{output}")
        raise RuntimeError("Apache found no free port in five attempts")

    def _sanitizer(self):
        """httpd itself is not instrumented: the runtime must be there before it."""
        if not (self.paddock and machine.sanitized()):
            return {}
        library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
        return {"LD_PRELOAD": library.stdout.strip(),
                "ASAN_OPTIONS": "detect_leaks=0:detect_odr_violation=0"}

    def _answers(self):
        try:
            for entry in self._sites:
                entry.site.get("/does-not-exist", seconds=2)
        except OSError:
            return False
        return True

    def graceful(self):
        """SIGUSR1: children end when they have answered what they have, others take their place; returns when it has."""
        def resumed():
            return self.error_log().count("resuming normal operations")

        before = resumed()
        self.process.send_signal(signal.SIGUSR1)
        machine.wait_for(lambda: resumed() > before, 10, "Apache has restarted gracefully")

    def error_log(self):
        return (self.directory / "apache-error.log").read_text(errors="replace")

    def _logs(self):
        return [self.directory / name for name in ("apache-output.log", "apache-error.log")]

    def children(self):
        return process.children_of(self.process.pid)

    def stop(self, graceful=False, at_once=False, seconds=20):
        if self.process is None:
            return
        # SIGWINCH is httpd's graceful stop. First where nothing else is asked for: a child whose threads are in a request
        # when SIGTERM takes its pools away may crash, which would be an alarm.
        self.process.send_signal(signal.SIGTERM if at_once else signal.SIGWINCH)
        try:
            if not graceful and not at_once:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(1.5)
                self.process.send_signal(signal.SIGTERM)
            self.process.wait(machine.patience(seconds))
        finally:
            if self.process.returncode is None:
                self.process.kill()
                self.process.wait()
            self.process = None
        alarm = _ALARMS.search("".join(file.read_text(errors="replace") for file in self._logs()))
        assert not alarm, alarm[0]

"""The same requests to Apache with mod_php, with PHP-FPM, and with Paddock: what scripts see, key by key.

Every difference is one of DIFFERENCES, which docs/compatibility.md explains.
"""

import contextlib
import os
import subprocess

import pytest

from harness import machine, process
from harness.apache import MODULES, PROGRAM, Apache
from harness.web import Site

FPM = "/usr/sbin/php-fpm8.2"
# Of each request or connection its own.
CHANCE = {"SERVER_PORT", "REMOTE_PORT", "HTTP_HOST", "REQUEST_TIME", "REQUEST_TIME_FLOAT", "UNIQUE_ID"}
# What Paddock's scripts have in $_SERVER other than those of mod_php, and of PHP-FPM.
DIFFERENCES = {
    "mod_php": {"USER", "HOME", "TMPDIR", "PATH", "HTTP_AUTHORIZATION", "proxy-nokeepalive", "FROM"},
    "fpm": {"TMPDIR", "PATH", "HOME", "FCGI_ROLE", "FROM"},  # HOME: this test's account has another
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
REQUESTS = [
    ("GET", "/dump.php?a=1&b[]=2", None, {"Cookie": "c=d", "Authorization": "Basic YTpi", "X-One": "1"}),
    ("POST", "/dump.php", b"a=1&b=2", FORM),
    ("GET", "/dump.php/info//x%20y?q", None, {}),
    ("GET", "/pretty/one", None, {}),
    ("GET", "/sub/", None, {}),
    ("GET", "/gone", None, {}),
    ("HEAD", "/dump.php", None, {}),
]
HTACCESS = """\
RewriteEngine On
RewriteRule ^pretty/(.*)$ dump.php/$1 [QSA,L,E=FROM:rewrite]
ErrorDocument 404 /dump.php
php_value user_agent compared
"""

_MOD_PHP = """\
ServerRoot {directory}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {directory}/pid
DefaultRuntimeDir {directory}
ErrorLog {directory}/error.log
{modules}
LoadModule php_module {library}
PHPIniDir /etc/php/8.2/embed
User www-data
Group www-data
StartServers 1
TypesConfig /dev/null
AddType text/html .html
DocumentRoot {docroot}
<Directory {docroot}>
  AllowOverride All
  Options FollowSymLinks
  Require all granted
  DirectoryIndex index.php index.html
</Directory>
<FilesMatch "\\.php$">
  SetHandler application/x-httpd-php
</FilesMatch>
"""

_POOL = """\
[global]
error_log = {directory}/fpm.log
daemonize = no
[compared]
user = {user}
group = {group}
listen = {directory}/fpm.sock
listen.owner = www-data
pm = static
pm.max_children = 1
"""


@contextlib.contextmanager
def _running(arguments, answers, what):
    started = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, cwd="/", preexec_fn=process.end_with_parent,
                               # At its end Apache signals its whole process group.
                               process_group=0,
                               env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    try:
        machine.wait_for(answers, 20, what)
        yield
    finally:
        started.terminate()
        started.wait(machine.patience(20))


def _listens(site):
    def answers():
        with contextlib.suppress(OSError):
            return site.get("/does-not-exist.html", seconds=2)
        return None
    return answers


@pytest.fixture
def servers(make_paddock, directory):
    """Three sites on one document root: mod_php, fpm, paddock."""
    paddock = make_paddock()
    tenant = paddock.add_tenant("alice")
    docroot, account = tenant.docroot, tenant.account
    (docroot / "sub").mkdir()
    (docroot / "sub" / "index.php").write_text((docroot / "dump.php").read_text())
    (docroot / ".htaccess").write_text(HTACCESS)
    for path in (docroot / "sub", docroot / "sub/index.php", docroot / "dump.php", docroot / ".htaccess"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    paddock.start()
    directory.chmod(0o755)
    group = subprocess.run(["id", "-gn", account.pw_name], capture_output=True, text=True, check=True).stdout.strip()
    (directory / "fpm.conf").write_text(_POOL.format(directory=directory, user=account.pw_name, group=group))
    mod_php = Site(machine.free_port())
    loaded = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in (
        "mpm_prefork", "authz_core", "mime", "dir", "alias", "env", "setenvif", "headers", "rewrite"))
    (directory / "mod_php.conf").write_text(_MOD_PHP.format(directory=directory, port=mod_php.port, modules=loaded,
                                                            library=f"{MODULES}/libphp8.2.so", docroot=docroot))
    handler = ('  <FilesMatch "\\.php$">\n    SetHandler "proxy:unix:{socket}|fcgi://{tenant}"\n    CGIPassAuth On\n'
               "  </FilesMatch>\n")
    apache = Apache(paddock.directory)
    ours = apache.add_site("alice", docroot, paddock.sockets()["alice"], handler=handler)
    fpm = apache.add_site("fpm", docroot, directory / "fpm.sock", handler=handler)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_running([FPM, "-F", "-c", "/etc/php/8.2/embed", "-y", directory / "fpm.conf"],
                                     (directory / "fpm.sock").exists, "PHP-FPM listens"))
        stack.enter_context(_running([PROGRAM, "-f", str(directory / "mod_php.conf"), "-DFOREGROUND"], _listens(mod_php),
                                     "Apache with mod_php answers"))
        stack.callback(apache.stop)
        apache.start()
        yield {"mod_php": mod_php, "fpm": fpm, "paddock": ours}


def _differences(theirs, ours):
    return {key: (theirs.get(key), ours.get(key)) for key in {*theirs, *ours} - CHANCE
            if theirs.get(key) != ours.get(key)}


def test_scripts_see_the_same(servers):
    problems = []
    for method, path, body, headers in REQUESTS:
        answers = {name: site.request(method, path, body=body, headers=headers) for name, site in servers.items()}
        ours = answers["paddock"]
        for name in ("mod_php", "fpm"):
            theirs = answers[name]
            where = f"{method} {path}, {name}"
            if theirs.status != ours.status:
                problems.append(f"{where}: status {theirs.status}, ours {ours.status}")
                continue
            sent = [{key.lower(): value for key, value in answer.headers.items() if key.lower() not in (
                "date", "content-length", "transfer-encoding")} for answer in (theirs, ours)]
            if sent[0] != sent[1]:
                problems.append(f"{where}: headers {_differences(*sent)}")
            if method == "HEAD":
                continue
            seen, own = theirs.json(), ours.json()
            found = {key: pair for key, pair in _differences(seen["server"], own["server"]).items()
                     if key not in DIFFERENCES[name]}
            if found:
                problems.append(f"{where}: $_SERVER {found}")
            for part in seen.keys() - {"server"}:
                if part in ("headers", "apache_request_headers"):
                    seen[part].pop("Host", None), own[part].pop("Host", None)
                if seen[part] != own[part]:
                    problems.append(f"{where}: {part} {seen[part]!r}, ours {own[part]!r}")
    assert not problems, "\n".join(problems)

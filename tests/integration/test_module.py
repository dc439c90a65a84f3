"""mod_paddock with a FastCGI application of the test's own: what Apache sends it, and what it makes of the answers."""

import asyncio
import contextlib
import json
import os
import re
import socket
import struct
import threading
import time

import pytest

from harness import fastcgi, machine, process
from harness.apache import Apache
from harness.responder import Responder, socket_path

pytestmark = pytest.mark.sanitizer
FIGURES = 65  # the type of a record of our own: protocols/fastcgi/figures.h
SLOW = 0.3  # seconds: far beyond PaddockSuspendAfter


async def tell(request):
    """Answers with what it was sent."""
    request.answer(json.dumps({"params": request.params, "body": len(request.body), "settings": request.settings}))


class Server:
    """An Apache with mod_paddock and a responder on the socket of alice, its only tenant."""

    def __init__(self, paddock, apache, site, stack):
        self.paddock, self.apache, self.site, self._stack = paddock, apache, site, stack
        self.tenant = paddock.tenants["alice"]
        self.docroot = self.tenant.docroot

    def respond(self, behave):
        return self._stack.enter_context(Responder(socket_path(self.paddock, "alice"), behave))

    def htaccess(self, text, directory=""):
        (self.docroot / directory).mkdir(exist_ok=True)
        (self.docroot / directory / ".htaccess").write_text(text)

    def script(self, name):
        file = self.docroot / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("<?php // never read by the responder\n")
        return "/" + name

    def log_has(self, pattern):
        return machine.wait_for(lambda: re.search(pattern, self.apache.error_log()), 5, f"the log says {pattern}")


@pytest.fixture
def serve(make_paddock):
    """serve(handler=…, main=…, servers=…, threads=…) → Server, started."""
    with contextlib.ExitStack() as stack:
        def make(handler=None, main="", runtime=None, **options):
            paddock = make_paddock(runtime=runtime)
            paddock.add_tenant("alice")
            paddock.write_config()
            socket_path(paddock, "alice")  # makes the key
            apache = Apache(paddock.directory, paddock=paddock, main=main, **options)
            site = apache.add_site("alice", paddock.tenants["alice"].docroot, "", handler=handler)
            stack.callback(apache.stop)
            server = Server(paddock, apache, site, stack)
            apache.start()
            return server
        yield make


@pytest.fixture
def server(serve):
    return serve()


def told(server, path="/hello.php", **options):
    return server.site.get(path, **options).ok().json()


def test_the_sanitizers_are_there(server):
    """In the build that has them: a module that httpd loads without their runtime would not start, or not report."""
    maps = [open(f"/proc/{pid}/maps").read() for pid in server.apache.children()]
    assert all(("libasan" in text) == machine.sanitized() for text in maps)


# --- which requests, which tenant

def test_the_socket_is_in_no_config(server):
    server.respond(tell)
    assert told(server)["params"]["SCRIPT_FILENAME"] == str(server.docroot / "hello.php")
    assert str(socket_path(server.paddock, "alice")) not in (server.paddock.directory / "apache.conf").read_text()


def test_only_files_that_exist(server):
    server.respond(tell)
    assert server.site.get("/nowhere.php").status == 404
    assert server.site.get("/nowhere.php/hello.php").status == 404
    (server.docroot / "text.txt").write_text("plain")
    assert server.site.get("/text.txt").ok().text == "plain"


@pytest.mark.parametrize("line", ["PaddockTenant bob", "PaddockTenantFrom owner", "PaddockExtensions .txt",
                                  "PaddockSuspendAfter never", "php_admin_value memory_limit 1G",
                                  "php_admin_flag engine on"])
def test_not_in_htaccess(server, line):
    server.respond(tell)
    server.htaccess(line + "\n")
    assert server.site.get("/hello.php").status == 500
    server.log_has("not allowed here")


def test_an_unknown_tenant_is_refused(serve):
    server = serve(handler="PaddockTenant nobody\n")
    assert server.site.get("/hello.php").status == 503
    server.log_has('no tenant "nobody"')


def test_paddock_is_not_there(server):
    answer = server.site.get("/hello.php")
    assert answer.status == 503 and answer.headers["Retry-After"]
    assert answer.headers["X-Paddock-Reason"] == "not-running"
    server.log_has("tenant alice refused")
    assert str(socket_path(server.paddock, "alice")) not in server.apache.error_log()


def test_tenant_none(serve):
    server = serve(handler="PaddockTenant alice\n<Location /static>\nPaddockTenant none\n</Location>\n")
    server.respond(tell)
    (server.docroot / "static").mkdir()
    (server.docroot / "static" / "x.php").write_text("source")
    assert server.site.get("/static/x.php").ok().text == "source"
    assert told(server)


def test_tenant_by_owner(serve):
    server = serve(handler="PaddockTenantFrom owner\n")
    server.respond(tell)
    assert told(server)
    os.chown(server.docroot / "hello.php", 0, 0)
    assert server.site.get("/hello.php").status == 403
    server.log_has("belongs to uid 0")
    # Somebody else's script by a link: the file is not the site's.
    os.symlink("/bin/sh", server.docroot / "link.php")
    assert server.site.get("/link.php").status == 403


def test_tenant_by_map(serve, directory):
    (directory / "map").write_text("# sites\nLocalHost alice\nother.example.org bob\n")
    server = serve(handler=f"PaddockTenantFrom map {directory}/map\nServerAlias *\n")
    server.respond(tell)
    assert told(server, headers={"Host": "localhost"})
    assert told(server, headers={"Host": "LOCALHOST:80"})
    assert server.site.get("/hello.php", headers={"Host": "unknown.example.org"}).status == 503
    server.log_has('does not know the host "unknown.example.org"')


def test_tenant_by_environment(serve):
    server = serve(handler='SetEnvIf Host "^127" SITE=alice\nServerAlias *\nPaddockTenantFrom env SITE\n')
    server.respond(tell)
    assert told(server)
    # What an .htaccess says comes too late, in every way that it can be said.
    server.htaccess("SetEnvIf Host . SITE=alice\nSetEnv SITE alice\nRewriteEngine On\n"
                    "RewriteRule ^ - [E=SITE:alice]\nRewriteRule ^again$ hello.php [E=SITE:alice]\n")
    for path in ("/hello.php", "/again"):
        assert server.site.get(path, headers={"Host": "localhost"}).status == 503
        assert told(server, path)


def test_extensions(serve):
    server = serve(handler="PaddockTenant alice\nPaddockExtensions .phtml .inc.php\n")
    server.respond(tell)
    assert told(server, server.script("x.phtml"))
    assert told(server, server.script("x.inc.php"))
    assert "<?php" in server.site.get(server.script("x.php")).ok().text


def test_handlers_that_sites_know_from_mod_php(server):
    server.respond(tell)
    server.htaccess("<Files page.html>\nSetHandler application/x-httpd-php\n</Files>\n"
                    "AddHandler application/x-httpd-php82 .php5\n"
                    "<Files off.php>\nSetHandler none\n</Files>\n"
                    "<Files forbidden.php>\nphp_flag engine off\n</Files>\n"
                    "<Files off3.php>\nSetHandler default-handler\n</Files>\n")
    assert told(server, server.script("page.html"))
    assert told(server, server.script("x.php5"))
    for name in ("off.php", "off3.php"):
        assert "<?php" in server.site.get(server.script(name)).ok().text
    assert server.site.get(server.script("forbidden.php")).status == 403


def test_directory_index_path_info_and_error_document(server):
    server.respond(tell)
    server.script("sub/index.php")
    assert told(server, "/sub/")["params"]["SCRIPT_NAME"] == "/sub/index.php"
    assert told(server, "/hello.php/a/b%20c")["params"]["PATH_INFO"] == "/a/b c"
    server.htaccess("ErrorDocument 404 /hello.php\n")
    answer = server.site.get("/nowhere?x=1")
    params = answer.json()["params"]
    assert answer.status == 404 and params["REDIRECT_STATUS"] == "404" and params["REQUEST_URI"] == "/nowhere?x=1"


def test_negotiation_finds_scripts(serve):
    server = serve(handler="PaddockTenant alice\n", main=f"LoadModule negotiation_module "
                   "/usr/lib/apache2/modules/mod_negotiation.so\n")
    server.respond(tell)
    server.docroot.chmod(0o755)  # it lists the directory
    server.htaccess("Options +MultiViews\nAddType application/x-httpd-php .php .page\n")
    assert told(server, server.script("by-type.page"))
    assert told(server, "/hello/info")["params"]["SCRIPT_NAME"] == "/hello.php"


def test_subrequests(serve):
    server = serve(main="LoadModule include_module /usr/lib/apache2/modules/mod_include.so\n")

    async def part(request):
        await asyncio.sleep(SLOW)
        request.answer("[" + request.query + "]")

    server.respond(part)
    (server.docroot / "page.shtml").write_text('<!--#include virtual="/hello.php?1" --><!--#include virtual="hello.php?2" -->')
    server.htaccess("Options +Includes\nAddOutputFilter INCLUDES .shtml\n")
    assert server.site.get("/page.shtml").ok().text == "[1][2]"


# --- what PHP is told

def proxied(server):
    """The parameters that mod_proxy_fcgi would send for the same request, by its own module."""
    return server.paddock.directory / "proxy.sock"


def test_the_environment_is_that_of_mod_proxy_fcgi(serve, make_paddock):
    """Key by key; what differs is listed here, with why."""
    server = serve()
    server.respond(tell)
    path = proxied(server)
    with Responder(path.parent / "run" / "proxy" / "sock", tell) as other:
        apache = Apache(server.paddock.directory / "second")
        apache.directory.mkdir()
        site = apache.add_site("alice", server.docroot, other.path)
        try:
            apache.start()
            server.htaccess("SetEnv MINE 1\nRewriteEngine On\nRewriteRule ^old$ hello.php/info?added=1 [QSA]\n")
            for url in ("/hello.php", "/hello.php/a%20b?x=1&y", "/old?z=2", "/"):
                server.script("index.php")
                headers = {"X-Header": "value", "Cookie": "a=b", "Accept": "*/*", "Proxy": "evil"}
                ours = told(server, url, headers=headers)["params"]
                theirs = site.get(url, headers=headers).ok().json()["params"]
                port = re.compile(rf"\b({server.site.port}|{site.port})\b")
                differing = {name for name in {*ours, *theirs}
                             if port.sub("PORT", ours.get(name, "")) != port.sub("PORT", theirs.get(name, ""))}
                differing -= {"REMOTE_PORT", "UNIQUE_ID"}
                # mod_proxy_fcgi's own, and the path that it spoils.
                differing -= {"SCRIPT_FILENAME", "PROXY_FCGI_SELF"}
                # Given back their names after the redirect.
                restored = {"MINE"} if url.startswith("/old") else set()
                assert differing <= restored | {"REDIRECT_HANDLER"}, (url, {n: (ours.get(n), theirs.get(n)) for n in differing})
        finally:
            apache.stop()


def test_renamed_variables_get_their_names_back(server):
    server.respond(tell)
    server.htaccess("RewriteEngine On\n"
                    "RewriteRule ^one$ two [E=ONCE:a]\nRewriteRule ^two$ hello.php [E=TWICE:b]\n"
                    "RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]\n")
    params = told(server, "/one")["params"]
    assert (params["ONCE"], params["TWICE"]) == ("a", "b")
    assert "REDIRECT_ONCE" in params or "REDIRECT_REDIRECT_ONCE" in params
    assert params["REDIRECT_STATUS"] == "200" and "STATUS" not in params and "URL" not in params
    assert params["REQUEST_URI"] == "/one"
    assert told(server, "/one", headers={"Authorization": "Basic x"})["params"]["HTTP_AUTHORIZATION"] == "Basic x"


def test_restoring_can_be_switched_off(serve):
    server = serve(handler="PaddockTenant alice\nPaddockRestoreEnvironment off\n")
    server.respond(tell)
    server.htaccess("RewriteEngine On\nRewriteRule ^one$ hello.php [E=ONCE:a]\n")
    params = told(server, "/one")["params"]
    assert "ONCE" not in params and params["REDIRECT_ONCE"] == "a"


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies(server, size, chunked):
    server.respond(tell)
    body = iter([b"x" * size]) if chunked else b"x" * size
    found = server.site.post("/hello.php", body).ok().json()
    assert found["body"] == size
    assert found["params"]["CONTENT_LENGTH"] == str(size)


def test_continue(server):
    server.respond(tell)
    with socket.create_connection((server.site.host, server.site.port), machine.patience(10)) as connection:
        connection.sendall(b"POST /hello.php HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n"
                           b"Connection: close\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"body")
        assert b'"body": 4' in connection.makefile("rb").read()


def test_trailers(server):
    """What follows a chunked body is part of neither the body nor, as under mod_php, the environment."""
    server.respond(tell)
    with socket.create_connection((server.site.host, server.site.port), machine.patience(10)) as connection:
        connection.sendall(b"POST /hello.php HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"
                           b"Connection: close\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200") and b'"body": 4' in answer
    assert b'"HTTP_TRAILER"' in answer and b"HTTP_X_SUM" not in answer


def test_a_body_that_is_too_long(serve):
    server = serve(handler="PaddockTenant alice\nLimitRequestBody 1000\n")
    server.respond(tell)
    assert server.site.post("/hello.php", b"x" * 1001).status == 413
    assert server.site.post("/hello.php", iter([b"x" * 1001])).status == 413


# --- php_value and its kin

def settings(server, path="/hello.php", **options):
    return {name: tuple(value) for name, value in told(server, path, **options)["settings"].items()}


def test_settings_are_merged_by_apaches_rules(serve):
    server = serve(handler="""
        PaddockTenant alice
        php_value a vhost
        php_value b vhost
        php_admin_value fixed admin
        php_admin_flag also on
        <Location /sub>
          php_value d location
        </Location>
        <Directory /tmp/*/homes/*/public_html>
          # It limits access only: other directives in it hold for every method, mod_php's too.
          <Limit POST>
            php_value e limit
          </Limit>
        </Directory>""")
    server.respond(tell)
    server.htaccess("php_value b htaccess\nphp_value fixed tenant\nphp_flag flag On\nphp_value empty none\n"
                    "<Files hello.php>\nphp_value c files\n</Files>\n"
                    "<If \"%{QUERY_STRING} == 'if'\">\nphp_value c if\n</If>\n")
    server.htaccess("php_value b deeper\nphp_value d sub\nphp_flag flag off\n", "sub")
    server.script("sub/x.php")
    common = {"fixed": ("admin", True, False), "also": ("1", True, False), "a": ("vhost", False, False),
              "empty": ("", False, True)}
    assert settings(server) == {**common, "b": ("htaccess", False, True), "flag": ("1", False, True),
                                "c": ("files", False, True), "e": ("limit", False, False)}
    assert settings(server, "/hello.php?if")["c"] == ("if", False, True)
    assert settings(server, "/sub/x.php") == {**common, "b": ("deeper", False, True), "flag": ("0", False, True),
                                              "d": ("location", False, False), "e": ("limit", False, False)}


def test_settings_need_allowoverride_options(serve):
    server = serve(handler="PaddockTenant alice\n<Directory /tmp/*/homes/*/public_html/sub>\n"
                   "AllowOverride FileInfo\n</Directory>\n")
    server.respond(tell)
    server.script("sub/x.php")
    server.htaccess("php_value a b\n", "sub")
    assert server.site.get("/sub/x.php").status == 500
    server.log_has("php_value not allowed here")


def test_settings_cannot_be_forged(server):
    server.respond(tell)
    server.htaccess("SetEnv PHP_VALUE \"a=b\"\nSetEnv PHP_ADMIN_VALUE \"open_basedir=/\"\n"
                    "RewriteEngine On\nRewriteRule ^ - [E=PHP_ADMIN_VALUE:open_basedir=/]\n")
    found = told(server)
    assert found["settings"] == {}
    assert not {"PHP_VALUE", "PHP_ADMIN_VALUE"} & set(found["params"])


def test_many_and_long_settings(server):
    server.respond(tell)
    server.htaccess("".join(f"php_value name{i} {'v' * 100}{i}\n" for i in range(3000)))
    found = settings(server)
    assert len(found) == 3000 and found["name2999"] == ("v" * 100 + "2999", False, True)


@pytest.mark.parametrize("on", [True, False])
def test_ifmodule(serve, on):
    server = serve(main="PaddockModPhpNames on\n" if on else "")
    server.respond(tell)
    server.htaccess("".join(f"<IfModule {name}>\nphp_value m{i} 1\n</IfModule>\n" for i, name in enumerate(
        ("mod_php.c", "mod_php5.c", "mod_php7.c", "mod_paddock.c", "mod_php8.c"))))
    expected = {"m0", "m1", "m2", "m3"} if on else {"m3"}
    assert set(settings(server)) == expected
    server.apache.graceful()
    assert set(settings(server)) == expected


# --- answers that are none

END = "end"
BAD = {
    "nothing": (b"", False, 502),
    "no-header": (b"hello world", False, 502),
    "no-colon": (b"hello\r\n\r\nbody", False, 502),
    "empty-name": (b": x\r\n\r\nbody", False, 502),
    "space-in-name": (b"A B: x\r\n\r\nbody", False, 502),
    "nul": (b"X: a\0b\r\n\r\nbody", False, 502),
    "nul-in-name": (b"X\0: a\r\n\r\nbody", False, 502),
    "control": (b"X: a\x1bb\r\n\r\nbody", False, 502),
    "long-line": (b"X: " + b"y" * 9000 + b"\r\n\r\nbody", False, 502),
    "huge": (b"X: y\r\n" * 200_000, False, 502),
    "huge-ended": (b"X: y\r\n" * 30_000 + b"\r\nbody", False, 502),
    "status-0": (b"Status: 0\r\n\r\nbody", False, 502),
    "status-text": (b"Status: fine\r\n\r\nbody", False, 502),
    "status-999": (b"Status: 99999\r\n\r\nbody", False, 502),
    "status-negative": (b"Status: -200\r\n\r\nbody", False, 502),
    "status-100": (b"Status: 100 Continue\r\n\r\nbody", False, 502),
    "length-text": (b"Content-Length: many\r\n\r\nbody", False, 502),
    "length-negative": (b"Content-Length: -1\r\n\r\nbody", False, 502),
    "not-fastcgi": (b"HTTP/1.1 200 OK\r\n\r\nbody", True, 502),
    "wrong-version": (b"\x02\x06\0\1\0\4\0\0body", True, 502),
    "zeros": (bytes(5000), True, 502),
    "short-end": (b"\x01\x03\0\1\0\2\0\0xx", True, 502),
    "half-record": (b"\x01\x06\0\1\xff\xff\0\0half", True, 502),
    "flood-of-other-ids": (b"\x01\x06\0\7\0\1\0\0x" * 100, True, 502),
    "flood-of-unknown-types": (b"\x01\x0b\0\1\0\1\0\0x" * 100, True, 502),
    "closed": (None, True, 503),
}


@pytest.mark.parametrize("late", [False, True])
def test_bad_answers(server, late):
    """Each is a 502 or a 503 with a line in the log that names the tenant, at once, whether suspended or not."""
    async def behave(request):
        if late:
            await asyncio.sleep(SLOW / 3)
        data, raw, _ = BAD[request.query]
        if data is None:
            return
        if raw:
            request.writer.write(data)
        else:
            request.out(data)
            request.end()

    server.respond(behave)
    for name, (_, _, status) in BAD.items():
        before = len(server.apache.error_log())
        answer = server.site.get("/hello.php?" + name)
        assert answer.status == status, (name, answer.status, answer.text)
        assert answer.seconds < machine.patience(5), name
        machine.wait_for(lambda: "paddock: tenant alice" in server.apache.error_log()[before:], 5, name)


def test_the_backend_dies_at_any_byte(server):
    whole = b"X-A: b\r\nContent-Type: text/plain\r\n\r\nthe body"
    stream = bytearray()

    async def behave(request):
        class Sink:
            write = stream.extend
        cut = int(request.query)
        request_writer, request.writer = request.writer, Sink
        stream.clear()
        request.out(whole)
        request.end()
        request.writer = request_writer
        request.writer.write(bytes(stream[:cut]))

    server.respond(behave)
    statuses = set()
    for cut in range(8 + len(whole) + 16):
        try:
            answer = server.site.get(f"/hello.php?{cut}")
        except Exception as error:  # the connection ends without the last chunk: what the client has to see
            assert type(error).__name__ == "IncompleteRead", (cut, error)
            continue
        statuses.add(answer.status)
        assert answer.status in (502, 503), (cut, answer.status, answer.text)
    assert statuses == {502, 503}
    assert server.site.get(f"/hello.php?{8 + len(whole) + 16}").ok().text == "the body"


def test_lengths_that_lie(server):
    async def behave(request):
        request.out("Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n" + request.query)
        request.end()

    server.respond(behave)
    assert server.site.get("/hello.php?right").ok().text == "right"
    assert server.site.get("/hello.php?too-long").ok().text == "too-l"
    server.log_has("more than its Content-Length")
    connection = server.site.connect()
    connection.request("GET", "/hello.php?abc")
    with pytest.raises(Exception, match="IncompleteRead|2 more expected"):
        connection.getresponse().read()
    connection.close()
    server.log_has("2 bytes less than its Content-Length")


def test_standard_error_is_escaped(server):
    async def behave(request):
        request.writer.write(b"\x01\x07\0\1\0\6\0\0a\n\x1b[0m")
        request.answer("fine")

    server.respond(behave)
    assert server.site.get("/hello.php").ok().text == "fine"
    server.log_has(r'tenant alice: "a\\+x0a\\+x1b\[0m"')


def test_nothing_comes(serve):
    server = serve(handler="PaddockTenant alice\nPaddockTimeout 1\n")

    async def never(request):
        await request.peer_goes()

    server.respond(never)
    answer = server.site.get("/hello.php")
    assert answer.status == 504 and answer.seconds >= 0.9
    server.log_has("nothing came for 1 seconds")


def test_x_sendfile(server, directory):
    wanted = server.tenant.home / "private" / "film"
    wanted.parent.mkdir()
    wanted.write_bytes(bytes(range(256)) * 1000)
    os.chown(wanted, server.tenant.account.pw_uid, -1)
    (server.docroot / "link").symlink_to("/etc/passwd")
    (directory / "other").write_text("secret")

    async def behave(request):
        request.answer("unseen", f"X-Sendfile: {request.query}\r\n")

    server.respond(behave)
    answer = server.site.get(f"/hello.php?{wanted}", headers={"Range": "bytes=256-258"})
    assert (answer.status, answer.body) == (206, b"\0\1\2")
    assert server.site.get(f"/hello.php?{wanted}").ok().body == wanted.read_bytes()
    for path in ("/etc/passwd", server.docroot / "link", directory / "other", "relative",
                 f"{server.tenant.home}/../../paddock.toml"):
        answer = server.site.get(f"/hello.php?{path}")
        assert answer.status == 404 and "X-Sendfile" not in answer.headers


# --- limits

def test_limits(serve, directory):
    (directory / "full.html").write_text("<p>Full.</p>")
    server = serve(main="PaddockLimit 5\nPaddockTenantLimit 3\n", runtime={"refusal_page": str(directory / "full.html")})
    release = asyncio.Event()

    async def behave(request):
        await asyncio.wait_for(release.wait(), machine.patience(30))
        request.answer("late")

    responder = server.respond(behave)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(server.site.get("/hello.php").status)) for _ in range(3)]
    for thread in threads:
        thread.start()
    machine.wait_for(lambda: responder.open == 3, 10)
    refused = server.site.get("/hello.php")
    assert refused.status == 503 and refused.headers["Retry-After"]
    assert refused.headers["X-Paddock-Reason"] == "apache-limit" and refused.text.strip() == "<p>Full.</p>"
    assert server.site.get("/style.css").status == 404  # not PHP: not counted
    responder.call(release.set)
    for thread in threads:
        thread.join()
    assert answers == [200] * 3
    assert server.site.get("/hello.php").status == 200


def test_figures(serve):
    server = serve(main="LoadModule status_module /usr/lib/apache2/modules/mod_status.so\nExtendedStatus On\n"
                   'LogFormat "%{PADDOCK_TENANT}n %{PADDOCK_SUSPENDED}n %{PADDOCK_TOTAL_MS}n '
                   '%{PADDOCK_FIRST_BYTE_MS}e" figures\nCustomLog figures.log figures\n',
                   handler="PaddockTenant alice\n<Location /status>\nSetHandler server-status\n</Location>\n"
                           "<Location /hello.php/waits>\nPaddockSuspendAfter never\n</Location>\n")
    release = asyncio.Event()

    async def behave(request):
        if request.query:
            await asyncio.wait_for(release.wait(), machine.patience(30))
        request.answer("done")

    responder = server.respond(behave)
    assert server.site.get("/hello.php/waits").ok()
    thread = threading.Thread(target=server.site.get, args=("/hello.php?slow",))
    thread.start()
    machine.wait_for(lambda: "Paddock-alice: 1 1 2 0" in server.site.get("/status?auto").text, 10)
    assert "alice" in server.site.get("/status").ok().text
    responder.call(release.set)
    thread.join()
    lines = machine.wait_for(lambda: re.findall(r"(?m)^alice ([01]) [\d.]+ [\d.]+$",
                                                (server.paddock.directory / "figures.log").read_text()), 5)
    machine.wait_for(lambda: "alice 1" in (server.paddock.directory / "figures.log").read_text(), 5)
    assert lines[0] == "0"


def test_figures_that_lie(serve):
    """A tenant writes them: times stay within Apache's own, and what is no figures record is none."""
    server = serve(main='LogFormat "%q %{PADDOCK_QUEUE_MS}n %{PADDOCK_RUN_MS}n %{PADDOCK_TOTAL_MS}n" figures\n'
                        "CustomLog figures.log figures\n")
    sent = {"huge": struct.pack("!5Q", *[2**64 - 1] * 5), "zero": bytes(40), "ends-first": struct.pack("!5Q", 2**63, 1, 0, 0, 0),
            "short": bytes(39), "long": bytes(48)}

    async def behave(request):
        request.writer.write(fastcgi.record(FIGURES, sent[request.query]))
        request.answer("done")

    server.respond(behave)
    for name in sent:
        assert server.site.get("/hello.php?" + name).ok().text == "done"
    log = server.paddock.directory / "figures.log"
    machine.wait_for(lambda: log.read_text().count("?") == len(sent), 10)
    for name, queue, run, total in re.findall(r"(?m)^(\?.*) (.*) (.*) (.*)$", log.read_text()):
        if name in ("?short", "?long"):
            assert queue == run == "-"
            continue
        assert 0 <= float(queue) and 0 <= float(run) and float(queue) + float(run) <= float(total) + 0.002, name

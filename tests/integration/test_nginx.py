"""nginx instead of Apache, with the lines that `paddock vhost --server nginx` prints."""

import http.client

import pytest

from harness import machine
from harness.nginx import Nginx
from test_programs import place_programs

# Connections that nginx asks to keep: the worker closes them, and nothing is lost.
KEPT = """\
    location ~ ^/kept/(?<kept>.+)$ {
      include fastcgi_params;
      fastcgi_param SCRIPT_FILENAME $document_root/$kept;
      fastcgi_keep_conn on;
      fastcgi_pass unix:%s;
    }
"""


@pytest.fixture
def nginx(make_paddock):
    paddock = make_paddock(plan={"workers": 2, "deadline": f"{int(machine.patience(2))}s", "queue": 4})
    alice = paddock.add_tenant("alice")
    for name, options in (("cgi", {"kind": "cgi"}),
                          ("app", {"kind": "fastcgi", "command": [str(alice.docroot / "echo.fcgi")]})):
        paddock.add_tenant(f"alice-{name}", account=alice.account, make=False, home=str(alice.home), **options)
    place_programs(alice)
    paddock.start()
    paddock.directory.chmod(0o755)
    server = Nginx(paddock.directory)

    def lines(name):
        return paddock.cli("vhost", name, "--server", "nginx").stdout
    server.site = server.add_site(alice.docroot, KEPT % paddock.sockets()["alice"] + lines("alice") + lines("alice-cgi"))
    server.app = server.add_site(alice.docroot, lines("alice-app"))
    server.paddock, server.alice = paddock, alice
    with server.running():
        yield server


def test_php(nginx):
    docroot = nginx.alice.docroot
    found = nginx.site.get("/dump.php?a=1", headers={"Authorization": "Basic YTpi", "Proxy": "http://evil/"}).ok().json()
    server = found["server"]
    assert found["get"] == {"a": "1"}
    assert server["SCRIPT_FILENAME"] == str(docroot / "dump.php")
    assert server["SCRIPT_NAME"] == "/dump.php" == server["PHP_SELF"]
    assert server["REQUEST_URI"] == "/dump.php?a=1"
    assert server["DOCUMENT_ROOT"] == str(docroot)
    assert server["SERVER_SOFTWARE"].startswith("nginx")
    assert (server["PHP_AUTH_USER"], server["PHP_AUTH_PW"]) == ("a", "b")
    assert not server.get("HTTP_PROXY")
    info = nginx.site.get("/dump.php/some/info").ok().json()["server"]
    assert (info["PATH_INFO"], info["SCRIPT_NAME"]) == ("/some/info", "/dump.php")
    assert info["PHP_SELF"] == "/dump.php/some/info"
    posted = nginx.site.post("/dump.php", b"a=1&b=2",
                             headers={"Content-Type": "application/x-www-form-urlencoded"}).ok().json()
    assert posted["post"] == {"a": "1", "b": "2"}
    assert nginx.site.get("/not-there.php").status == 404
    (docroot / "index.php").write_text("<?php echo 'index';")
    assert nginx.site.get("/").ok().text == "index"


def test_a_chunked_body_and_a_long_answer(nginx):
    connection = http.client.HTTPConnection("127.0.0.1", nginx.site.port, timeout=machine.patience(30))
    try:
        pieces = [b"x" * 70_000, b"y" * 10]
        connection.request("POST", "/echo.cgi?mirror", body=iter(pieces), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
        answer = connection.getresponse()
        assert answer.read() == b"".join(pieces)
    finally:
        connection.close()
    assert len(nginx.site.run("return str_repeat('z', 3000000);")) == 3_000_000


def test_connections_that_nginx_keeps(nginx):
    """More one after the other than there are workers: an idle connection holds none."""
    for number in range(12):
        assert nginx.site.get(f"/kept/dump.php?n={number}").ok().json()["get"] == {"n": str(number)}
    assert nginx.site.run("return 1;") == 1


def test_limits(nginx):
    (nginx.alice.docroot / "late.php").write_text("<?php while (true) {}")
    assert nginx.site.get("/late.php").status == 500  # as after max_execution_time
    assert nginx.site.run("return 2;") == 2
    assert nginx.site.get("/echo.cgi?stubborn").status == 504


def test_programs(nginx):
    answer = nginx.site.get("/echo.cgi/more?x=y")
    assert answer.status == 201
    env = answer.json()["env"]
    assert (env["SCRIPT_NAME"], env["PATH_INFO"], env["QUERY_STRING"]) == ("/echo.cgi", "/more", "x=y")
    assert nginx.site.get("/echo.cgi?moved").status == 302
    for path in ("/", "/some/where?x=y"):
        answer = nginx.app.get(path)
        assert answer.status == 201
        params = answer.json()["params"]
        assert params["REQUEST_URI"] == path
        assert params["PATH_INFO"] == path.partition("?")[0]

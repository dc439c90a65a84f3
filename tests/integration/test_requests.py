"""What PHP's FastCGI processes do for a script, ours do too: through Apache, as a site sees it."""

import hashlib
import itertools
import json
import os
import re
import socket
import threading
import time
import urllib.parse

import pytest

from harness import fastcgi, machine

pytestmark = pytest.mark.sanitizer

MIB = 1 << 20
# A body of a size that a memory_limit would notice; the VM interprets its instructions, and takes less.
LARGE = (8 if machine.IN_VM else 64) * MIB
_numbers = itertools.count()


@pytest.fixture
def page(host):
    """page(php) writes a script into alice's site and returns its URL."""
    tenant = host.paddock.tenants["alice"]
    written = []

    def write(php, directory="", name=None):
        # A name of its own each: opcache notices a changed file only after opcache.revalidate_freq.
        file = tenant.docroot / directory / (name or f"page-{next(_numbers)}.php")
        file.parent.mkdir(exist_ok=True)
        file.write_text("<?php\n" + php)
        os.chown(file, tenant.account.pw_uid, tenant.account.pw_gid)
        written.append(file)
        return "/" + urllib.parse.quote(str(file.relative_to(tenant.docroot)))

    yield write
    for file in written:
        file.unlink()
        if file.parent != tenant.docroot:
            file.parent.rmdir()


def dump(site, path="/dump.php", **options):
    return site.get(path, **options).ok().json()


def test_query_and_server_variables(host):
    found = dump(host.alice, "/dump.php?a=1&b[]=x&b[]=y&c=%C3%A9")
    docroot = str(host.paddock.tenants["alice"].docroot)
    assert found["get"] == {"a": "1", "b": ["x", "y"], "c": "é"}
    server = found["server"]
    assert server["QUERY_STRING"] == "a=1&b[]=x&b[]=y&c=%C3%A9"
    assert server["REQUEST_METHOD"] == "GET"
    assert server["SCRIPT_FILENAME"] == docroot + "/dump.php"
    assert server["SCRIPT_NAME"] == "/dump.php" == server["PHP_SELF"]
    assert server["DOCUMENT_ROOT"] == docroot
    assert server["REQUEST_URI"] == "/dump.php?a=1&b[]=x&b[]=y&c=%C3%A9"
    assert server["SERVER_PORT"] == str(host.alice.port)
    assert server["REMOTE_ADDR"] == "127.0.0.1"
    assert "Apache" in server["SERVER_SOFTWARE"]
    assert server["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert abs(server["REQUEST_TIME_FLOAT"] - time.time()) < machine.patience(60)
    assert server["HOME"] == str(host.paddock.tenants["alice"].home)
    assert server["USER"] == host.paddock.tenants["alice"].account.pw_name


def test_sapi_names(host):
    assert host.alice.run("return [PHP_SAPI, php_sapi_name()];") == ["fpm-fcgi", "fpm-fcgi"]


def test_environment_is_clean(host):
    variables = host.alice.run("return getenv();")
    assert not {name for name in variables if "PADDOCK" in name or "SAN_OPTIONS" in name}
    assert host.alice.run("return [getenv('HOME'), get_current_user(), getcwd()];") == [
        str(host.paddock.tenants["alice"].home), host.paddock.tenants["alice"].account.pw_name,
        str(host.paddock.tenants["alice"].docroot)]


def test_request_headers(host):
    found = dump(host.alice, headers={"X-One": "1", "Accept": "text/x", "Authorization": "Basic YTpi", "Proxy": "evil"})
    assert found["headers"]["X-One"] == "1"
    assert found["headers"]["Accept"] == "text/x"
    assert found["server"]["HTTP_X_ONE"] == "1"
    assert "HTTP_PROXY" not in found["server"] and not host.alice.run("return getenv('HTTP_PROXY');",
                                                                        headers={"Proxy": "evil"})
    assert found["apache_request_headers"] == found["headers"]


def test_basic_authentication(host):
    """Apache passes Authorization on where CGIPassAuth says so."""
    docroot = host.paddock.tenants["alice"].docroot
    (docroot / ".htaccess").write_text("CGIPassAuth On\n")
    try:
        server = dump(host.alice, headers={"Authorization": "Basic YTpi"})["server"]
        assert (server["PHP_AUTH_USER"], server["PHP_AUTH_PW"]) == ("a", "b")
    finally:
        (docroot / ".htaccess").unlink()


def test_response_headers_and_status(host, page):
    url = page("""
        http_response_code(418);
        header('X-Two: first'); header('X-Two: second', false); header('Content-Type: text/x-tea');
        setcookie('a', '1'); setcookie('b', '2'); header_remove('X-Powered-By');
        echo 'short and stout';""")
    answer = host.alice.get(url)
    assert answer.status == 418
    assert ", ".join(answer.headers.get_all("X-Two")) == "first, second"  # Apache joins them
    assert answer.headers["Content-Type"].startswith("text/x-tea")
    assert len(answer.headers.get_all("Set-Cookie")) == 2
    assert "X-Powered-By" not in answer.headers
    assert answer.text == "short and stout"


@pytest.mark.parametrize("status", [201, 204, 301, 304, 403, 404, 500, 503])
def test_status(host, page, status):
    url = page("http_response_code((int) $_GET['s']); if ($_GET['s'] == 301) header('Location: /x');")
    assert host.alice.get(f"{url}?s={status}").status == status


def test_status_line_from_header(host, page):
    assert host.alice.get(page("header('HTTP/1.1 404 Nicht da'); echo 'x';")).status == 404
    assert host.alice.get(page("header('Status: 410 Fort');")).status == 410


def test_redirect_by_location(host, page):
    answer = host.alice.get(page("header('Location: /elsewhere');"))
    assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")


def test_head_has_headers_and_no_body(host):
    answer = host.alice.request("HEAD", "/hello.php")
    assert answer.status == 200 and answer.body == b""


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_methods(host, page, method):
    url = page("echo json_encode([$_SERVER['REQUEST_METHOD'], file_get_contents('php://input'), $_POST]);")
    assert host.alice.request(method, url, body=b"the body").ok().json() == [method, "the body", []]


def test_form(host):
    found = host.alice.post("/dump.php", "a=1&b=%26&c[k]=v", headers={
        "Content-Type": "application/x-www-form-urlencoded"}).ok().json()
    assert found["post"] == {"a": "1", "b": "&", "c": {"k": "v"}}
    assert found["input"] == "a=1&b=%26&c[k]=v"


def test_empty_body(host):
    assert host.alice.post("/dump.php", b"").ok().json()["input"] == ""


def test_json_body(host):
    body = json.dumps({"text": "ü" * 1000})
    found = host.alice.post("/dump.php", body.encode(), headers={"Content-Type": "application/json"}).ok().json()
    assert found["input"] == body and found["post"] == []


def multipart(files, fields=()):
    boundary = "----paddock"
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
             for name, value in fields]
    parts += [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'
              f'Content-Type: application/octet-stream\r\n\r\n'.encode() + content + b"\r\n"
              for name, file, content in files]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def test_upload(host, page):
    url = page("""
        $f = $_FILES['f'];
        $kept = dirname(__DIR__) . '/kept';
        $moved = is_uploaded_file($f['tmp_name']) && move_uploaded_file($f['tmp_name'], $kept);
        echo json_encode([$f['name'], $f['size'], $f['error'], $moved, md5_file($kept), fileowner($kept), $_POST]);
        unlink($kept);""")
    content = os.urandom(3000)
    body, headers = multipart([("f", "photo.jpg", content)], [("title", "Sommer")])
    assert host.alice.post(url, body, headers=headers).ok().json() == [
        "photo.jpg", 3000, 0, True, hashlib.md5(content).hexdigest(), host.paddock.tenants["alice"].account.pw_uid,
        {"title": "Sommer"}]


def test_upload_over_the_limit_is_php_to_refuse(host, page):
    url = page("echo json_encode($_FILES['f']['error']);")
    body, headers = multipart([("f", "big", bytes(3 * MIB))])  # upload_max_filesize is 2M
    assert host.alice.post(url, body, headers=headers).ok().json() == 1
    assert host.alice.get("/hello.php").ok()


def test_uploads_leave_no_temporary_files(host, page):
    url = page("echo json_encode($_FILES['f']['tmp_name']);")
    body, headers = multipart([("f", "x", b"y" * 5000)])
    temporary = host.alice.post(url, body, headers=headers).ok().json()
    assert temporary.startswith("/")
    # PHP removes it right after the answer.
    machine.wait_for(lambda: host.alice.run(f"return file_exists('{temporary}');") is False, 5, "it is gone")


def test_large_body_is_streamed(host, page):
    """More than the memory limit, read in pieces; the worker holds no more of it than a piece."""
    url = page("""
        ini_set('memory_limit', '16M');
        $hash = hash_init('sha256'); $size = 0;
        for ($in = fopen('php://input', 'r'); ($piece = fread($in, 65536)) !== false && $piece !== '';) {
            hash_update($hash, $piece); $size += strlen($piece);
        }
        preg_match('/VmHWM:\\s*(\\d+)/', file_get_contents('/proc/self/status'), $m);
        echo json_encode([$size, hash_final($hash), $m[1]]);""")
    pattern = os.urandom(MIB)
    digest = hashlib.sha256()
    for _ in range(LARGE // MIB):
        digest.update(pattern)
    sent = (pattern for _ in range(LARGE // MIB))
    size, found, resident = host.alice.request(
        "POST", url, body=sent, headers={"Content-Length": str(LARGE), "Content-Type": "application/octet-stream"},
        seconds=120).ok().json()
    assert (size, found) == (LARGE, digest.hexdigest())
    assert int(resident) * 1024 < 96 * MIB or machine.sanitized()


def test_put_of_a_file(host, page):
    url = page("$n = file_put_contents('/tmp/put', fopen('php://input', 'r')); echo json_encode([$n, md5_file('/tmp/put')]);")
    body = os.urandom(5 * MIB)
    assert host.alice.request("PUT", url, body=body).ok().json() == [len(body), hashlib.md5(body).hexdigest()]


def test_chunked_request(host, page):
    url = page("echo strlen(file_get_contents('php://input'));")
    parts = (b"x" * 10000 for _ in range(50))
    answer = host.alice.request("POST", url, body=parts, headers={"Content-Type": "text/plain"})
    assert answer.ok().text == "500000"


def test_a_long_body_is_read_in_any_order(host, page):
    """Where the worker has collected it, and not from a file: php://input behaves as any."""
    url = page("""
        [$in, $again] = [fopen('php://input', 'r'), fopen('php://input', 'r')];
        $found = [md5(stream_get_contents($in)), feof($in), fread($in, 1)];
        fseek($in, 1000000);
        $found[] = md5(fread($again, 8192) . stream_get_contents($in, 70000));
        $found[] = [ftell($in), fseek($in, -5, SEEK_END), fread($in, 9), fseek($in, 1, SEEK_END), fread($in, 1), rewind($in), ftell($in)];
        $found[] = [strlen(file_get_contents('php://input')), @fwrite($in, 'x'), $_POST];
        $found[] = glob('/tmp/php*');
        echo json_encode($found);""")
    body = os.urandom(3 * MIB + 4321) + b"the end"

    def md5(part):
        return hashlib.md5(part).hexdigest()

    def is_read():
        """True where PHP has it from memory; one that came slowly has been in the gateway's file, and is in PHP's."""
        found = host.alice.post(url, body, headers={"Content-Type": "application/octet-stream"}).ok().json()
        assert found[:4] == [md5(body), True, "", md5(body[:8192] + body[1000000:1070000])]
        assert found[4] == [1070000, 0, "e end", 0, "", True, 0]
        assert found[5][0::2] == [len(body), []]
        return found[6] == []
    assert any(is_read() for _ in range(20))


def test_a_long_body_after_the_answer(host, page):
    url = page("""
        fastcgi_finish_request();
        file_put_contents(__DIR__ . '/after', md5(file_get_contents('php://input')));""")
    after = host.paddock.tenants["alice"].docroot / "after"
    body = os.urandom(MIB)
    try:
        host.alice.post(url, body, headers={"Content-Type": "text/plain"}).ok()
        machine.wait_for(lambda: after.exists() and after.read_text() == hashlib.md5(body).hexdigest(), 10, "it has read all")
    finally:
        after.unlink(missing_ok=True)


def test_a_body_longer_than_post_max_size(host, page):
    """PHP warns, and has no form of it; php://input reads it all the same."""
    url = page("echo json_encode([strlen(file_get_contents('php://input')), error_get_last()['message'] ?? null]);",
               directory="small")
    settings = host.paddock.tenants["alice"].docroot / "small" / ".htaccess"
    settings.write_text("php_value post_max_size 100K\n")
    try:
        size, problem = host.alice.post(url, bytes(MIB), headers={"Content-Type": "text/plain"}).ok().json()
        assert size == MIB and "exceeds the limit of 102400 bytes" in problem
    finally:
        settings.unlink()


def test_a_body_that_the_script_does_not_read(host):
    for _ in range(5):
        assert host.alice.post("/hello.php", bytes(4 * MIB), headers={"Content-Type": "text/plain"}).ok()


def test_large_answer_is_streamed(host, page):
    url = page(f"""
        ini_set('memory_limit', '16M');
        $piece = str_repeat('0123456789abcdef', 4096);
        for ($sent = 0; $sent < {LARGE}; $sent += strlen($piece)) echo $piece;""")
    start = time.monotonic()
    connection = host.alice.connect(120)
    connection.request("GET", url)
    answer = connection.getresponse()
    total, digest = 0, hashlib.sha256()
    while piece := answer.read(MIB):
        total += len(piece)
        digest.update(piece)
    connection.close()
    expected = hashlib.sha256(b"0123456789abcdef" * (LARGE // 16)).hexdigest()
    assert (total, digest.hexdigest()) == (LARGE, expected), time.monotonic() - start


def test_answers_of_awkward_sizes(host, page):
    url = page("echo str_repeat('x', (int) $_GET['n']);")
    for size in (0, 1, 7, 8, 4095, 8192, 16384, 65527, 65528, 65535, 65536, 65537, 131071, 1000003):
        assert len(host.alice.get(f"{url}?n={size}").ok().body) == size


# Of a script: whether the web server is told how long its answer is.
LENGTHS = {
    "short": ("echo 'hello';", True),
    "pieces": ("echo 'a'; echo str_repeat('b', 20000); register_shutdown_function(fn() => print('late'));", True),
    "buffered": ("ob_start(); echo str_repeat('x', 9000); header('X-Late: 1');", True),
    "compressed": ("ini_set('zlib.output_compression', '1'); echo str_repeat('x', 9000);", True),
    "finished": ("echo 'done'; fastcgi_finish_request(); echo 'more';", True),
    "error": ("http_response_code(500); echo 'sorry';", True),
    "its own": ("header('content-length: 5'); echo 'hello';", True),
    "chunks of its own": ("header('Transfer-Encoding: chunked'); echo 'hello';", False),
    "flushed": ("echo 'a'; while (ob_get_level()) ob_end_flush(); flush(); echo 'b';", False),
    "long": ("echo str_repeat('x', 40000);", False),
    "long in pieces": ("for ($i = 0; $i < 40; $i++) echo str_repeat('x', 1000);", False),
    "no content": ("http_response_code(204);", False),
    "not modified": ("http_response_code(304); echo 'x';", False),
    "empty": ("header('X-Sendfile: /nowhere');", False),
}


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_length_of_an_answer(host, page, name, method):
    """Told once where all of it is known when it is sent, and no other than it is. HEAD has no body to tell it from."""
    script, told = LENGTHS[name]
    docroot = host.paddock.tenants["alice"].docroot
    answer = fastcgi.fetch(host.paddock.sockets()["alice"], docroot / page(script)[1:], method=method,
                           HTTP_ACCEPT_ENCODING="gzip")
    lengths = re.findall(rb"(?mi)^content-length: *(.*?)\r$", answer.stdout.partition(b"\r\n\r\n")[0] + b"\r\n")
    if method == "HEAD":
        assert lengths == ([b"5"] if name == "its own" else [])
        assert answer.body == b""
    else:
        assert lengths == ([b"%d" % len(answer.body)] if told else [])
        assert answer.body or name in ("empty", "no content")


def test_flush_arrives_early(host, page):
    url = page("echo 'first'; ob_flush(); flush(); usleep(1500000); echo 'second';")
    connection = host.alice.connect()
    start = time.monotonic()
    connection.request("GET", url)
    answer = connection.getresponse()
    assert answer.read1(5) == b"first"
    first = time.monotonic() - start
    assert answer.read() == b"second"
    assert time.monotonic() - start >= 1.4
    assert time.monotonic() - start - first > 1
    connection.close()


def test_finish_request(host, page):
    marker = "/tmp/finished-" + str(os.getpid())
    url = page(f"""
        echo 'answer'; $r = fastcgi_finish_request(); echo 'unseen';
        usleep(1000000); file_put_contents('{marker}', json_encode($r));""")
    host.alice.get("/hello.php").ok()
    answer = host.alice.get(url).ok()
    assert answer.text == "answer"
    assert answer.seconds < 0.9 or machine.slowness() > 1
    machine.wait_for(lambda: host.alice.run(f"return @file_get_contents('{marker}');") == "true", 10)


def test_path_info(host):
    server = dump(host.alice, "/dump.php/wiki/Page%20One?x=1")["server"]
    docroot = str(host.paddock.tenants["alice"].docroot)
    assert server["PATH_INFO"] == "/wiki/Page One"
    assert server["SCRIPT_NAME"] == "/dump.php"
    assert server["SCRIPT_FILENAME"] == docroot + "/dump.php"
    assert server["PHP_SELF"] == "/dump.php/wiki/Page One"
    assert server["PATH_TRANSLATED"] == docroot + "/wiki/Page One"


def test_rewrite_to_a_front_controller(host):
    docroot = host.paddock.tenants["alice"].docroot
    (docroot / ".htaccess").write_text(
        "RewriteEngine On\nRewriteCond %{REQUEST_FILENAME} !-f\nRewriteRule ^pretty/(.*)$ dump.php/$1 [QSA,L]\n")
    try:
        found = dump(host.alice, "/pretty/one/two?q=1")
        assert found["server"]["PATH_INFO"] == "/one/two"
        assert found["get"] == {"q": "1"}
        assert found["server"]["REQUEST_URI"] == "/pretty/one/two?q=1"
        assert found["server"]["SCRIPT_NAME"] == "/dump.php"
    finally:
        (docroot / ".htaccess").unlink()


def test_directory_index(host, page):
    page("echo 'index of sub';", "sub", "index.php")
    assert host.alice.get("/sub/").ok().text == "index of sub"
    answer = host.alice.get("/sub")
    assert answer.status == 301 and answer.headers["Location"].endswith("/sub/")


def test_file_names_with_odd_characters(host, page):
    url = page("echo basename(__FILE__);", name="odd name+ü%25&;.php")
    assert host.alice.get(url).ok().text == "odd name+ü%25&;.php"


def test_a_script_that_is_not_there(host):
    answer = host.alice.get("/nowhere.php")
    assert answer.status == 404


def test_a_directory_named_like_a_script(host):
    directory = host.paddock.tenants["alice"].docroot / "directory.php"
    directory.mkdir(mode=0o755)
    try:
        assert host.alice.get("/directory.php").status in (301, 403, 404)
    finally:
        directory.rmdir()


def test_session(host, page):
    url = page("session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; echo $_SESSION['n'];")
    host.alice.cookies.clear()
    assert [host.alice.browse("GET", url).ok().text for _ in range(3)] == ["1", "2", "3"]
    # Another tenant who learns the cookie has nothing of it.
    host.bob.cookies.update(host.alice.cookies)
    assert host.bob.run("session_id($_COOKIE['PHPSESSID'] ?? 'x'); session_start(); return $_SESSION;",
                        headers={"Cookie": f"PHPSESSID={host.alice.cookies['PHPSESSID']}"}) == []
    host.alice.cookies.clear()
    host.bob.cookies.clear()


def test_session_lock_makes_requests_of_a_session_wait(host, page):
    """The files handler locks with flock(): it has to work in the view."""
    url = page("session_start(); $n = $_SESSION['n'] ?? 0; usleep(200000); $_SESSION['n'] = $n + 1; echo $n;")
    host.alice.cookies.clear()
    host.alice.browse("GET", url).ok()
    cookie = f"PHPSESSID={host.alice.cookies['PHPSESSID']}"
    threads = [threading.Thread(target=host.alice.get, args=(url,), kwargs={"headers": {"Cookie": cookie}})
               for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert host.alice.get(url, headers={"Cookie": cookie}).ok().text == "4"
    host.alice.cookies.clear()


def test_cookies(host):
    assert dump(host.alice, headers={"Cookie": "a=1; b=x%20y"})["cookie"] == {"a": "1", "b": "x y"}


def test_errors_go_to_the_tenants_log(host):
    host.alice.run("error_log('said by a script'); trigger_error('a warning of alice', E_USER_WARNING); return 1;")
    machine.wait_for(lambda: "said by a script" in host.paddock.tenant_log("alice"), 5)
    machine.wait_for(lambda: "a warning of alice" in host.paddock.tenant_log("alice"), 5)
    assert "said by a script" not in host.paddock.tenant_log("bob")


def test_standard_error_goes_to_the_tenants_log(host):
    host.alice.run("file_put_contents('php://stderr', \"by hand\\n\"); exec('echo by a child >&2'); return 1;")
    machine.wait_for(lambda: "by hand" in host.paddock.tenant_log("alice"), 5)
    machine.wait_for(lambda: "by a child" in host.paddock.tenant_log("alice"), 5)


def test_a_flood_in_the_log_does_not_stop_the_site(host):
    size = host.alice.run("for ($i = 0; $i < 200000; $i++) error_log('flood'); return 1;", seconds=120)
    assert size == 1
    assert host.alice.get("/hello.php").ok()
    assert len(host.paddock.tenant_log("alice")) < 200000 * len("flood") * 5


def test_control_characters_do_not_reach_the_log(host):
    host.alice.run(r"error_log(\"before\x1b[31mafter\"); return 1;".replace('\\"', '"'))
    machine.wait_for(lambda: "after" in host.paddock.tenant_log("alice"), 5)
    assert "\x1b" not in host.paddock.tenant_log("alice")


def test_disconnected_client_is_noticed(host, page):
    url = page("""
        ignore_user_abort(false);
        for ($i = 0; $i < 2000; $i++) { echo str_repeat('x', 100000); flush(); usleep(10000); }
        file_put_contents('/tmp/not-noticed', '');""")
    connection = host.alice.connect()
    connection.request("GET", url)
    connection.getresponse().read(10)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()

    machine.wait_for(lambda: host.paddock.tenant_status("alice")["busy"] == 0, 15, "the worker is free again")
    assert host.alice.run("return file_exists('/tmp/not-noticed');") is False


def test_shutdown_functions_run_after_an_abort(host):
    assert host.alice.run("register_shutdown_function(fn() => file_put_contents('/tmp/shut', 'x')); return 1;") == 1
    assert host.alice.run("return file_exists('/tmp/shut');") is True


def test_time_limit(host):
    answer = host.alice.post("/run.php", b"set_time_limit(1); while (true); return 1;")
    assert answer.status == 500
    machine.wait_for(lambda: "Maximum execution time" in host.paddock.tenant_log("alice"), 5)
    assert host.alice.get("/hello.php").ok()


def test_time_limit_does_not_last(host):
    host.alice.run("set_time_limit(1); return 1;")
    assert host.alice.run("$end = microtime(true) + 2; while (microtime(true) < $end); return 'ok';") == "ok"


def test_nothing_of_a_request_lasts(host):
    for _ in range(20):  # until both came to the same worker
        worker = host.alice.run("""
            ini_set('precision', '5'); putenv('LEAK=1'); setlocale(LC_ALL, 'C.UTF-8'); chdir('/tmp'); umask(0777);
            define('LEAK', 1); function leak() {} $GLOBALS['leak'] = 1; header('X-Leak: 1'); ini_set('memory_limit', '64M');
            date_default_timezone_set('Asia/Tokyo'); ob_start(); error_reporting(0); mb_internal_encoding('UTF-16');
            return getmypid();""")
        found = host.alice.run("""
            return [getmypid(), ini_get('precision'), getenv('LEAK'), getcwd(), umask(), defined('LEAK'),
                    function_exists('leak'), isset($GLOBALS['leak']), ini_get('memory_limit'), date_default_timezone_get(),
                    ob_get_level() <= 1, error_reporting() != 0, mb_internal_encoding()];""")
        if found[0] == worker:
            break
    assert found == [worker, "14", False, str(host.paddock.tenants["alice"].docroot), 0o22, False, False, False, "128M",
                     "UTC", True, True, "UTF-8"]


def test_keep_alive_of_the_browser(host):
    connection = host.alice.connect()
    for _ in range(5):
        connection.request("GET", "/hello.php")
        assert connection.getresponse().read() == b"hello\n"
    connection.close()


def test_phpinfo(host, page):
    text = host.alice.get(page("phpinfo();")).ok().text
    assert "FPM/FastCGI" in text and "opcache" in text


def test_status_of_fpm(host):
    found = host.alice.run("return fpm_get_status();")
    assert found["pool"] == "alice" and len(found["procs"]) >= 1


def test_network_of_the_host(host, page):
    """Until a plan says otherwise, a sandbox has the host's network: it can reach a server on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert host.alice.run(f"return is_resource(@fsockopen('127.0.0.1', {port}, $e, $s, 5));") is True


def test_vhost_lines_work(own_host, make_apache):
    """What `paddock vhost` prints is pasted into Apache's config as it is."""
    from harness.apache import Apache
    host = own_host()
    lines = host.paddock.cli("vhost", "alice").stdout
    host.apache.stop()
    apache = Apache(host.paddock.directory)
    site = apache.add_site("alice", host.paddock.tenants["alice"].docroot, "",
                           handler=lines.replace("{", "{{").replace("}", "}}"))
    apache.start()
    try:
        assert site.get("/hello.php").ok().text == "hello\n"
        assert dump(site, "/dump.php/info")["server"]["PATH_INFO"] == "/info"
    finally:
        apache.stop()


@pytest.fixture
def htaccess(host):
    """htaccess(text) writes alice's .htaccess."""
    file = host.paddock.tenants["alice"].docroot / ".htaccess"

    def write(text):
        file.write_text(text)
        file.chmod(0o644)

    yield write
    file.unlink(missing_ok=True)


def test_variables_survive_a_redirect_inside_apache(host, htaccess):
    """Once renamed, and twice: RewriteRule in .htaccess starts over, and renames again."""
    htaccess("RewriteEngine On\n"
             "RewriteRule ^first$ second [E=APP_ENV:staging,E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]\n"
             "RewriteRule ^second$ dump.php [E=LATER:yes]\n")
    server = dump(host.alice, "/first", headers={"Authorization": "Basic YTpi"})["server"]
    assert (server["APP_ENV"], server["LATER"]) == ("staging", "yes")
    assert (server["PHP_AUTH_USER"], server["PHP_AUTH_PW"]) == ("a", "b")
    assert server["REQUEST_URI"] == "/first" and server["SCRIPT_NAME"] == "/dump.php"


def test_an_error_document_in_php(host, htaccess):
    htaccess("ErrorDocument 404 /dump.php?from=404\n")
    answer = host.alice.post("/gone?x=1", b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 404
    server = answer.json()["server"]
    assert server["REDIRECT_STATUS"] == "404" and server["REDIRECT_URL"] == "/gone"
    assert server["REQUEST_URI"] == "/gone?x=1" and server["QUERY_STRING"] == "from=404"
    assert answer.json()["post"] == [] and "STATUS" not in server


def test_status_and_ping_pages(own_host):
    """As PHP-FPM's, and answered without a script; the web server has to send them here."""
    from harness import fastcgi
    host = own_host(plan={"status_path": "/status", "ping_path": "/ping", "ping_response": "here"})
    socket_path = host.paddock.sockets()["alice"]

    def page(path, query=""):
        return fastcgi.fetch(socket_path, "/nowhere" + path, query=query, SCRIPT_NAME=path)

    assert page("/ping").body == b"here"
    assert page("/status").body.startswith(b"pool:                 alice\nprocess manager:      ondemand\n")
    found = json.loads(page("/status", "json&full").body)
    assert found["active processes"] == 1 and found["processes"][0]["request uri"] == "/status"
    assert b"<active-processes>1</active-processes>" in page("/status", "xml").body
    assert b"<th>slow requests</th><td>0</td>" in page("/status", "html").body
    metrics = page("/status", "openmetrics").body
    assert metrics.endswith(b"phpfpm_slow_requests 0\n# EOF\n") and b"\nphpfpm_up 1\n" in metrics
    assert re.search(rb"<start-time>\d+</start-time>", page("/status", "xml").body)
    assert b"Content-type: application/json\r\n" in page("/status", "json").stdout
    # What a visitor chose cannot leave its place in the page.
    evil = fastcgi.fetch(socket_path, "/x", query="html&full", SCRIPT_NAME="/status", REQUEST_URI="/<script>\"'&")
    assert b"<script>" not in evil.body
    assert json.loads(fastcgi.fetch(socket_path, "/x", query="json&full", SCRIPT_NAME="/status",
                                    REQUEST_URI="/\"\\\x01").body)["processes"]
    assert page("/other").stdout.startswith(b"Status: 404")

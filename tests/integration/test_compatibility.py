"""The same requests to Apache with mod_php, with PHP-FPM, and with Paddock: what scripts see, key by key.

Every difference is one of DIFFERENCES, which docs/compatibility.md explains.
"""

import pytest

from harness import forms, three_ways

# Of each request or connection its own.
CHANCE = {"SERVER_PORT", "REMOTE_PORT", "HTTP_HOST", "REQUEST_TIME", "REQUEST_TIME_FLOAT", "UNIQUE_ID"}
# What Paddock's scripts have in $_SERVER other than those of mod_php, and of PHP-FPM.
DIFFERENCES = {
    "mod_php": {"USER", "HOME", "TMPDIR", "PATH", "HTTP_AUTHORIZATION", "proxy-nokeepalive", "FROM"},
    "fpm": {"TMPDIR", "PATH", "HOME", "FCGI_ROLE", "FROM"},  # HOME: this test's account has another
    "module": {"proxy-nokeepalive"},  # beside those: what mod_proxy_fcgi adds, mod_paddock does not
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
UPLOAD = forms.multipart({"action": "upload-attachment", "_wpnonce": "0123456789"}, "async-upload", "ein wört.png",
                         "image/png", bytes(range(256)) * 300)
REQUESTS = [
    ("GET", "/dump.php?a=1&b[]=2", None, {"Cookie": "c=d", "Authorization": "Basic YTpi", "X-One": "1"}),
    ("POST", "/dump.php", b"a=1&b=2", FORM),
    ("GET", "/dump.php/info//x%20y?q", None, {}),
    ("GET", "/pretty/one", None, {}),
    ("GET", "/sub/", None, {}),
    ("GET", "/gone", None, {}),
    ("HEAD", "/dump.php", None, {}),
    # As WordPress is asked, with the rules that it writes: an address that is no file, the REST API, wp-admin with and
    # without its slash, a file that is uploaded.
    ("GET", "/blog/2001/ein-w%C3%B6rtchen/?replytocom=1", None, {}),
    ("GET", "/blog/index.php/ein-wort/", None, {}),
    ("GET", "/blog/wp-json/wp/v2/posts?per_page=1", None, {"Authorization": "Bearer a.b", "X-WP-Nonce": "0123456789"}),
    ("PUT", "/blog/wp-json/wp/v2/posts/1", b'{"title": "x"}', {"Content-Type": "application/json"}),
    ("DELETE", "/blog/wp-json/wp/v2/posts/1?force=true", None, {}),
    ("GET", "/blog/wp-admin/", None, {"Referer": "http://localhost/blog/"}),
    ("GET", "/blog/wp-admin", None, {}),
    ("POST", "/blog/wp-admin/?upload", UPLOAD["body"], UPLOAD["headers"]),
]
HTACCESS = """\
RewriteEngine On
RewriteRule ^pretty/(.*)$ dump.php/$1 [QSA,L,E=FROM:rewrite]
ErrorDocument 404 /dump.php
php_value user_agent compared
"""
# What WordPress 6.1 writes into its own when addresses become names.
BLOG_HTACCESS = """\
<IfModule mod_rewrite.c>
RewriteEngine On
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
RewriteBase /blog/
RewriteRule ^index\\.php$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /blog/index.php [L]
</IfModule>
"""


@pytest.fixture(params=three_ways.FRONTS)
def servers(request, make_paddock, directory):
    """Three sites on one document root: mod_php, fpm, paddock."""
    paddock = make_paddock()
    tenant = paddock.add_tenant("alice")
    docroot, account = tenant.docroot, tenant.account
    dump = (docroot / "dump.php").read_text()
    for name in ("sub", "blog", "blog/wp-admin"):
        (docroot / name).mkdir()
        (docroot / name / "index.php").write_text(dump)
    (docroot / ".htaccess").write_text(HTACCESS)
    (docroot / "blog/.htaccess").write_text(BLOG_HTACCESS)
    for path in docroot.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    paddock.start()
    docroots = dict.fromkeys(three_ways.NAMES, docroot)
    with three_ways.servers(paddock, tenant, directory, docroots, account, request.param) as sites:
        yield sites


def _differences(theirs, ours):
    return {key: (theirs.get(key), ours.get(key)) for key in {*theirs, *ours} - CHANCE
            if theirs.get(key) != ours.get(key)}


def _request_headers(headers, as_sent):
    """Without Host, which has the port. FastCGI knows names in capitals only, and a RewriteRule's HTTP_AUTHORIZATION as
    much as a header: mod_php has what was sent."""
    headers = {name: value for name, value in headers.items() if name != "Host"}
    if as_sent:
        return headers
    return {name.lower(): value for name, value in headers.items() if (name, value) != ("Authorization", "")}


def test_scripts_see_the_same(servers, request):
    front = DIFFERENCES.get(request.node.callspec.params["servers"], set())
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
            sent = [{key.lower(): value.replace(f":{servers[server].port}/", "/") for key, value in answer.headers.items()
                     if key.lower() not in ("date", "content-length", "transfer-encoding")}
                    for server, answer in ((name, theirs), ("paddock", ours))]
            if sent[0] != sent[1]:
                problems.append(f"{where}: headers {_differences(*sent)}")
            if method == "HEAD" or ours.status == 301:
                continue
            seen, own = theirs.json(), ours.json()
            found = {key: pair for key, pair in _differences(seen["server"], own["server"]).items()
                     if key not in DIFFERENCES[name] | front}
            if found:
                problems.append(f"{where}: $_SERVER {found}")
            for files in (seen["files"], own["files"]):
                for file in dict(files).values():  # PHP has one kind of array
                    assert file.pop("tmp_name")
            for part in seen.keys() - {"server"}:
                if part in ("headers", "apache_request_headers"):
                    for sender in (seen, own):
                        sender[part] = _request_headers(sender[part], as_sent=name == "fpm")
                if seen[part] != own[part]:
                    problems.append(f"{where}: {part} {seen[part]!r}, ours {own[part]!r}")
    assert not problems, "\n".join(problems)

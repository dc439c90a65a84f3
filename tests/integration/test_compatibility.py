"""The same requests to Apache with mod_php, with PHP-FPM, and with Paddock: what scripts see, key by key.

Every difference is one of DIFFERENCES, which docs/compatibility.md explains.
"""

import pytest

from harness import three_ways

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
    docroots = dict.fromkeys(three_ways.NAMES, docroot)
    with three_ways.servers(paddock, tenant, directory, docroots, account) as sites:
        yield sites


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

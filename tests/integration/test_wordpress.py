"""WordPress from Debian's package with MariaDB, from its installation to its feed, on three servers that answer alike."""

import datetime
import html
import json
import re
import xml.etree.ElementTree
import zlib

import pytest

from harness import application as applications
from harness import forms, three_ways
from harness.wordpress import PASSWORD, TITLE, configure, install, place

# What differs between two blogs, or two moments of one.
VARYING = [
    (r"\b[0-9a-f]{10}\b", "NONCE"),  # of a user, an action and a blog's salts; seconds since 1970 look the same
    (r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", "HASH"),  # in names of cookies: of the blog's address
    (r"(?<=admin%7C)[^;]+", "SESSION"),  # the value of a login's cookie
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", "MOMENT"),  # dates of posts in the REST API, and on pages
    (r"\b\d\d?:\d\d [ap]m\b", "MOMENT"),
    (r"\b\d+ (second|min)s? ago", "MOMENT"),
]


@pytest.fixture(scope="module", params=three_ways.FRONTS)
def blogs(request, application):
    """Three blogs, installed as their owners would: in the browser."""
    with application(place, front=request.param, varying=VARYING) as compare:
        assert "setup-config.php" in compare.get("/").path
        assert "Run the installation" in compare(configure).ok().text
        assert "WordPress has been installed" in compare(install).ok().text
        yield compare


def _log_in(site, password=PASSWORD):
    site.cookies.clear()
    page = site.browse("GET", "/wp-login.php").ok()
    return forms.submit(site, page, "loginform", log="admin", pwd=password)


def _nonce(site):
    """What the editor sends with its REST requests."""
    page = site.browse("GET", "/wp-admin/post-new.php").ok()
    return re.search(r'createNonceMiddleware\( "(\w+)" \)', page.text)[1]


def _json(nonce=None, **values):
    return {"body": json.dumps(values),
            "headers": {"Content-Type": "application/json", **({"X-WP-Nonce": nonce} if nonce else {})}}


def _write(site, **post):
    """A post as the editor saves it."""
    # Each of a day of its own: of two within one second, which comes first is chance.
    day = datetime.date(2001, 1, 1) + datetime.timedelta(zlib.crc32(post["slug"].encode()) % 8000)
    return site.browse("POST", "/index.php?rest_route=/wp/v2/posts", **_json(
        status="publish", nonce=_nonce(site), date=f"{day}T12:00:00", **post))


def test_a_wrong_password_is_refused(blogs):
    page = blogs(_log_in, password="wrong").ok()
    assert "is incorrect" in page.text


def test_the_administration(blogs):
    page = blogs(_log_in).ok()
    assert page.path.startswith("/wp-admin/") and "Dashboard" in page.text
    for path in ("/wp-admin", "/wp-admin/users.php", "/wp-admin/tools.php", "/wp-admin/options-general.php",
                 "/wp-admin/options-reading.php", "/wp-admin/load-styles.php?load=dashicons,admin-bar,common"):
        assert len(blogs.get(path).ok().body) > 10000, path


def test_a_post_is_written_as_the_editor_does(blogs):
    blogs(_log_in).ok()
    answer = blogs(_write, title="Ein Wörtchen", content="<p>Saved <b>by a test</b> &amp; €.</p>", slug="written")
    assert answer.status == 201, answer.text
    assert answer.headers["Location"].endswith(f"/wp/v2/posts/{answer.json()['id']}")
    page = blogs.get(f"/?p={answer.json()['id']}").ok()
    assert "Saved <b>by a test</b> &amp; €." in page.text and "Ein Wörtchen" in page.text


def test_a_post_without_a_nonce_is_refused(blogs):
    blogs(_log_in).ok()
    answer = blogs(lambda site: site.browse("POST", "/index.php?rest_route=/wp/v2/posts", **_json(title="x")))
    assert answer.status == 401 and answer.json()["code"] == "rest_cannot_create"


def test_upload_of_a_picture(blogs):
    blogs(_log_in).ok()
    picture = _picture()

    def send(site):
        page = site.browse("GET", "/wp-admin/media-new.php?browser-uploader").ok()
        return forms.upload(site, page, "file-form", "async-upload", picture, "image/png", **{"html-upload": "Upload"})

    assert "Media Library" in blogs(send).ok().text
    (found,) = blogs.get("/index.php?rest_route=/wp/v2/media&search=" + picture.stem).ok().json()
    assert found["mime_type"] == "image/png"
    sizes = found["media_details"]["sizes"]
    path = found["source_url"].partition(str(blogs.ours.port))[2]
    assert blogs.get(path).ok().body == picture.read_bytes()
    # Another size is PHP's own work, of its gd.
    small = blogs.get(sizes["thumbnail"]["source_url"].partition(str(blogs.ours.port))[2]).ok().body
    assert small.startswith(b"\x89PNG") and small != picture.read_bytes()
    for site in blogs.sites.values():
        stored = site.docroot / path.lstrip("/")
        assert stored.stat().st_uid == site.owner.pw_uid


def _picture():
    """The largest PNG that WordPress brings along."""
    images = applications.unpacked("wordpress", "usr/share/wordpress").rglob("*.png")
    return max(images, key=lambda path: path.stat().st_size)


@pytest.fixture
def permalinks(blogs):
    """The blogs, whose addresses are names: WordPress writes the rules for that into .htaccess itself."""
    def choose(site):
        _log_in(site).ok()
        page = site.browse("GET", "/wp-admin/options-permalink.php").ok()
        return forms.submit(site, page, "form", selection="/%postname%/", permalink_structure="/%postname%/")

    assert "Permalink structure updated" in blogs(choose).ok().text
    rules = {(site.docroot / ".htaccess").read_text() for site in blogs.sites.values()}
    assert len(rules) == 1 and "RewriteRule . /index.php [L]" in rules.pop()
    return blogs


def test_permalinks(permalinks):
    answer = permalinks(_write, title="By its name", content="<p>Found by its name</p>", slug="by-its-name")
    assert answer.status == 201
    assert "Found by its name" in permalinks.get("/by-its-name/").ok().text
    # Addresses that are not quite right lead there.
    for path in (f"/?p={answer.json()['id']}", "/by-its-name", "/by-its"):
        page = permalinks.get(path).ok()
        assert page.path == "/by-its-name/" and page.before[-1].status == 301
    assert "Found by its name" in permalinks.get("/category/uncategorized/?paged=1").ok().text
    assert "Found by its name" in permalinks.get("/?s=found+by&submit=Search").ok().text
    missing = permalinks.get("/no-such-post/")
    assert missing.status == 404 and "nothing here" in missing.text.lower()
    assert permalinks.get("/wp-includes/no-such-file.png").status == 404
    assert permalinks.get("/wp-admin/no-such-page.php").status == 404


def test_the_rest_api(permalinks):
    answer = permalinks(_write, title="Read by a program", content="<p>Ein Wörtchen</p>", slug="read-by-a-program")
    path = f"/wp-json/wp/v2/posts/{answer.json()['id']}"
    post = permalinks.get(path).ok()
    assert post.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert post.json()["content"]["rendered"].strip() == "<p>Ein Wörtchen</p>"
    listed = permalinks.get("/wp-json/wp/v2/posts?per_page=1&orderby=id&_fields=slug").ok()
    assert listed.json() == [{"slug": "read-by-a-program"}]
    assert int(listed.headers["X-WP-Total"]) >= 2 and 'rel="next"' in listed.headers["Link"]
    assert permalinks.get("/wp-json/wp/v2/posts/999999").status == 404
    assert permalinks.get("/wp-json/").ok().json()["name"] == html.escape(TITLE)

    def change(site):
        return site.browse("PUT", path, **_json(title="Changed", nonce=_nonce(site)))

    assert permalinks(change).ok().json()["title"]["raw"] == "Changed"

    def remove(site):
        return site.browse("DELETE", path, **_json(force=True, nonce=_nonce(site)))

    assert permalinks(remove).ok().json()["deleted"] is True
    assert permalinks.get("/read-by-a-program/").status == 404


def test_the_feed(permalinks):
    permalinks(_write, title="For the feed", content="<p>Läuft</p>", slug="for-the-feed")
    feed = permalinks.get("/feed/").ok()
    assert feed.headers["Content-Type"] == "application/rss+xml; charset=UTF-8"
    titles = [item.findtext("title") for item in xml.etree.ElementTree.fromstring(feed.body).iter("item")]
    assert "For the feed" in titles
    # A reader that has it already is told so, by what it sends back.
    again = permalinks(lambda site: _unless_new(site, "/feed/"))
    assert again.status == 304 and not again.body


def test_a_blog_asks_itself(permalinks):
    """Its site health does, and its wp-cron: a second worker answers while the first waits."""
    def ask(site):
        return site.browse("GET", "/wp-json/wp-site-health/v1/tests/loopback-requests",
                           headers={"X-WP-Nonce": _nonce(site)})

    permalinks(_log_in).ok()
    found = permalinks(ask).ok().json()
    assert found["status"] == "good", found["description"]


def _unless_new(site, path):
    first = site.get(path).ok()
    return site.get(path, headers={"If-None-Match": first.headers["ETag"],
                                   "If-Modified-Since": first.headers["Last-Modified"]})


def test_a_comment(permalinks):
    answer = permalinks(_write, title="Discussed", content="<p>?</p>", slug="discussed")
    assert answer.status == 201

    def comment(site):
        site.cookies.clear()  # by a stranger
        page = site.browse("GET", "/discussed/").ok()
        return forms.submit(site, page, "commentform", comment="Wörtlich so", author="A stranger",
                            email="stranger@example.invalid")

    page = permalinks(comment).ok()
    assert "Wörtlich so" in page.text and "awaiting moderation" in page.text
    assert "Wörtlich so" not in permalinks(lambda site: site.get("/discussed/")).ok().text


def test_log_out(blogs):
    page = blogs(_log_in).ok()
    assert "wpadminbar" in page.text

    def log_out(site):
        page = site.browse("GET", "/wp-admin/profile.php").ok()
        link = re.search(r'href="([^"]*action=logout[^"]*)"', page.text)[1]
        return site.browse("GET", html.unescape(link).partition(str(site.port))[2])

    assert "logged out" in blogs(log_out).ok().text
    page = blogs.get("/wp-admin/")
    assert page.path.startswith("/wp-login.php") and page.before[-1].status == 302

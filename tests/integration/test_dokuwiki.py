"""DokuWiki from Debian's package, clicked through as a person would, on three servers that answer alike."""

import html
import re
import subprocess
import time

import pytest

from harness import forms, machine, three_ways
from harness.web import Site

pytestmark = pytest.mark.sanitizer

PASSWORD = "correct horse battery staple"
TEXT = "====== Ein Wörtchen ======\n\nSaved **by a test**, with <b>brackets</b> & ümlauts €.\n"
# What differs between two wikis, or two moments of one.
VARYING = [
    (r"(DokuWiki)=\w{26}", r"\1=SESSION"),
    (r"(DW[0-9a-f]{32}=\w+(?:%3D)*%7C0%7C)[^;]+", r"\1PASSWORD"),  # encrypted, of who logs in
    (r'(sectok(?:=|" value="))[0-9a-f]{32}', r"\1TOKEN"),  # against forged forms
    (r"(?<=[&;?]tok=)[0-9a-f]{6}", "TOKEN"),  # of a picture's other size, by the wiki's salt
    (r"(?<=tseed=)[0-9a-f]{32}", "SEED"),  # of when the configuration was written
    (r'^"[0-9a-f]{32}"$', '"ETAG"'),  # of when the file was
    (r"\b1[789]\d{8}\b", "MOMENT"),  # seconds since 1970: revisions, and what keeps a picture from being cached
    (r"\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d(:\d\d)?", "MOMENT"),
    (r"\b\d+ (second|minute)s? ago", "MOMENT"),
]


def _place(docroot):
    subprocess.run([machine.REPOSITORY / "demo/dokuwiki", "install", docroot, PASSWORD], check=True,
                   timeout=machine.patience(300))


@pytest.fixture(scope="module")
def wikis(application):
    with application(_place, database=False, varying=VARYING) as compare:
        yield compare


def _log_in(site, name="admin", password=PASSWORD):
    site.cookies.clear()
    page = site.browse("GET", "/doku.php?id=start&do=login").ok()
    return forms.submit(site, page, "dw__login", u=name, p=password)


def _edit(site, name, text, summary="made by a test"):
    page = site.browse("GET", f"/doku.php?id={name}&do=edit").ok()
    return forms.submit(site, page, "dw__editform", wikitext=text, summary=summary, **{"do[save]": "1"})


def test_front_page_and_its_parts(wikis):
    front = wikis.get("/").ok()
    assert "Hello from a paddock" in front.text
    style = wikis.get("/lib/exe/css.php?t=dokuwiki").ok()
    assert style.headers["Content-Type"].startswith("text/css") and len(style.body) > 10000
    assert len(wikis.get("/lib/exe/js.php?t=dokuwiki").ok().body) > 10000
    assert len(wikis.get("/lib/exe/jquery.php").ok().body) > 50000
    assert wikis.get("/lib/tpl/dokuwiki/images/logo.png").ok().body.startswith(b"\x89PNG")
    assert "This topic does not exist yet" in wikis.get("/doku.php?id=no:such:page").ok().text


def test_what_htaccess_forbids(wikis):
    for path in ("/conf/users.auth.php", "/data/pages/start.txt", "/inc/init.php", "/vendor/autoload.php"):
        assert wikis.get(path).status == 403, path


def test_a_reader_may_not_edit(wikis):
    def edit(site):
        site.cookies.clear()
        return site.browse("GET", "/doku.php?id=start&do=edit")

    page = wikis(edit).ok()
    assert "readonly" in page.text and 'name="do[save]"' not in page.text


def test_a_wrong_password_is_refused(wikis):
    page = wikis(_log_in, password="wrong")
    assert "dw__login" in page.text and "do=admin" not in page.text


def test_a_page_is_edited(wikis):
    assert "Administrator" in wikis(_log_in).ok().text
    page = wikis(_edit, "notes:first", TEXT).ok()
    assert "Ein Wörtchen" in page.text and "<strong>by a test</strong>" in page.text
    assert "&lt;b&gt;brackets&lt;/b&gt; &amp; ümlauts €" in page.text
    time.sleep(1)  # revisions are known by their second
    assert "A second time." in wikis(_edit, "notes:first", TEXT + "\nA second time.\n", summary="again").ok().text
    history = wikis.get("/doku.php?id=notes:first&do=revisions").ok()
    assert "made by a test" in history.text and "again" in history.text
    raw = wikis.get("/doku.php?id=notes:first&do=export_raw").ok()
    assert raw.text == TEXT + "\nA second time.\n"
    assert "notes:first - again" in wikis.get("/feed.php").ok().text


def test_search(wikis):
    """The index follows when the answer, a picture of one pixel, has gone out already."""
    wikis(_log_in).ok()
    wikis(_edit, "haystack", "Somewhere in here is an albatross.").ok()
    assert wikis.get("/lib/exe/taskrunner.php?id=haystack").ok().body.startswith(b"GIF")

    def found(site):
        def page():
            answer = site.browse("GET", "/doku.php?id=start&do=search&q=albatross").ok()
            return answer if "search_hit" in answer.text else None
        return machine.wait_for(page, 10, "the page is found")

    assert "haystack" in wikis(found).text


def test_upload_of_a_picture(wikis):
    picture = wikis.ours.docroot / "lib/tpl/dokuwiki/images/logo.png"
    wikis(_log_in).ok()

    def send(site):
        page = site.browse("GET", "/lib/exe/mediamanager.php?ns=&edid=wiki__text").ok()
        return forms.upload(site, page, "dw__upload", "upload", picture, "image/png", mediaid="logo.png")

    assert "Upload successful" in wikis(send).ok().text
    path = "/lib/exe/fetch.php?media=logo.png"
    assert wikis.get(path).ok().body == picture.read_bytes()
    part = wikis.get(path, headers={"Range": "bytes=1-3"})
    assert part.status == 206 and part.body == b"PNG"
    again = wikis(lambda site: site.get(path, headers={"If-None-Match": site.get(path).ok().headers["ETag"]}))
    assert again.status == 304 and not again.body

    def small(site):
        page = site.browse("GET", "/lib/exe/mediamanager.php?ns=&edid=wiki__text").ok()
        return site.browse("GET", html.unescape(re.search(r'src="([^"]*fetch.php[^"]*tok=[^"]*)"', page.text)[1]))

    # Another size is PHP's own work, of its gd.
    body = wikis(small).ok().body
    assert body.startswith(b"\x89PNG") and body != picture.read_bytes()
    for site in wikis.sites.values():
        assert (site.docroot / "data/media/logo.png").stat().st_uid == site.owner.pw_uid


def _log_out(site):
    page = site.browse("GET", "/").ok()
    return site.browse("GET", html.unescape(re.search(r'href="([^"]*do=logout[^"]*)"', page.text)[1]))


def test_log_out(wikis):
    assert "Administrator" in wikis(_log_in).ok().text
    assert "Administrator" not in wikis(_log_out).ok().text
    assert "Administrator" not in wikis.get("/").ok().text


def test_the_configuration_is_changed(wikis):
    def change(site):
        page = site.browse("GET", "/doku.php?id=start&do=admin&page=config").ok()
        return forms.submit(site, page, "dw__configform", **{"config[title]": "Ümbenannt", "config[userewrite]": "2"})

    wikis(_log_in).ok()
    assert "savedir" in wikis.get("/doku.php?id=start&do=admin&page=config").ok().text
    assert "Settings updated successfully" in wikis(change).ok().text
    front = wikis.get("/").ok()
    assert "[Ümbenannt]</title>" in front.text and 'href="/doku.php/start?do=edit"' in front.text
    assert "Hello from a paddock" in wikis.get("/doku.php/start").ok().text


def test_a_user_is_added(wikis):
    path = "/doku.php?id=start&do=admin&page=usermanager"

    def add(site):
        page = site.browse("GET", path).ok()
        attributes, fields = next(form for form in forms.Forms(page.text).forms if "userpass" in form[1])
        fields |= {"userid": "ada", "username": "Ada", "usermail": "ada@example.invalid", "usergroups": "user",
                   "userpass": PASSWORD, "userpass2": PASSWORD, "fn[add]": "1"}
        return site.browse("POST", forms.target(page, attributes), **forms.urlencoded(fields))

    wikis(_log_in).ok()
    assert "admin@example.invalid" in wikis.get(path).ok().text
    assert "User added successfully" in wikis(add).ok().text
    page = wikis(_log_in, name="ada").ok()
    assert "Ada" in page.text and "do=admin" not in page.text


def test_the_idle_sandbox_goes_away(make_paddock, make_apache):
    """With its opcode cache, and what it had open: the page and the login stay, in files of the tenant's own."""
    paddock = make_paddock(plan={"idle": "2s"})
    tenant = paddock.add_tenant("wiki")
    three_ways.install(_place, {"wiki": tenant.docroot}, {"wiki": tenant.account})
    site = make_apache(paddock.start()).sites["wiki"]
    _log_in(site).ok()
    _edit(site, "notes:first", TEXT).ok()
    file = tenant.docroot / "data/pages/notes/first.txt"
    assert file.read_text() == TEXT
    assert (file.stat().st_uid, file.stat().st_gid) == (tenant.account.pw_uid, tenant.account.pw_gid)

    machine.wait_for(lambda: not paddock.sandbox("wiki"), 20, "the idle sandbox is gone", interval=0.2)
    stranger = Site(site.port)
    assert "Ein Wörtchen" in stranger.browse("GET", "/doku.php?id=notes:first").ok().text
    page = site.browse("GET", "/doku.php?id=notes:first&do=edit").ok()
    _, fields = forms.Forms(page.text).find("dw__editform")
    assert fields["wikitext"].replace("\r\n", "\n").strip() == TEXT.strip()
    assert "A second time." in _edit(site, "notes:first", TEXT + "\nA second time.\n").ok().text

"""A real application, clicked through as a person would: DokuWiki from Debian's package."""

import os
import subprocess

import pytest

from harness import machine
from harness.forms import Forms, submit, upload

pytestmark = pytest.mark.sanitizer

PASSWORD = "correct horse battery staple"


@pytest.fixture
def wiki(make_paddock, make_apache):
    paddock = make_paddock(plan={"idle": "2s"})
    tenant = paddock.add_tenant("wiki")
    for entry in tenant.docroot.iterdir():
        entry.unlink()
    subprocess.run([machine.REPOSITORY / "demo/dokuwiki", "install", tenant.docroot, PASSWORD], check=True,
                   timeout=machine.patience(300))
    for entry in (tenant.docroot, *tenant.docroot.rglob("*")):
        os.chown(entry, tenant.account.pw_uid, tenant.account.pw_gid, follow_symlinks=False)
        if not entry.is_symlink():
            entry.chmod(0o711 if entry.is_dir() else 0o600 if entry.suffix == ".php" else 0o644)
    site = make_apache(paddock.start()).sites["wiki"]
    site.paddock, site.tenant = paddock, tenant
    return site


def log_in(site, name="admin", password=PASSWORD):
    page = site.browse("GET", "/doku.php?id=start&do=login").ok()
    return submit(site, page, "dw__login", u=name, p=password)


def test_front_page_and_its_parts(wiki):
    front = wiki.browse("GET", "/").ok()
    assert "Hello from a paddock" in front.text
    style = wiki.get("/lib/exe/css.php?t=dokuwiki").ok()
    assert style.headers["Content-Type"].startswith("text/css") and len(style.body) > 10000
    script = wiki.get("/lib/exe/js.php?t=dokuwiki").ok()
    assert len(script.body) > 10000
    assert len(wiki.get("/lib/exe/jquery.php").ok().body) > 50000
    image = wiki.get("/lib/tpl/dokuwiki/images/logo.png").ok()
    assert image.body.startswith(b"\x89PNG")
    assert wiki.get("/conf/users.auth.php").status == 403
    assert wiki.get("/data/pages/start.txt").status == 403


def test_a_reader_may_not_edit(wiki):
    page = wiki.browse("GET", "/doku.php?id=start&do=edit").ok()
    assert "readonly" in page.text and 'name="do[save]"' not in page.text


def test_a_wrong_password_is_refused(wiki):
    page = log_in(wiki, password="wrong")
    assert "dw__login" in page.text and "admin.php" not in page.text


def test_log_in_edit_save_read_back(wiki):
    page = log_in(wiki).ok()
    assert "Administrator" in page.text

    text = "====== Ein Wörtchen ======\n\nSaved **by a test**, with <b>brackets</b> & ümlauts €.\n"
    page = wiki.browse("GET", "/doku.php?id=notes:first&do=edit").ok()
    page = submit(wiki, page, "dw__editform", wikitext=text, summary="made by a test", **{"do[save]": "1"})
    assert "Ein Wörtchen" in page.ok().text
    assert "<strong>by a test</strong>" in page.text
    assert "&lt;b&gt;brackets&lt;/b&gt; &amp; ümlauts €" in page.text

    file = wiki.tenant.docroot / "data/pages/notes/first.txt"
    assert file.read_text() == text
    assert (file.stat().st_uid, file.stat().st_gid) == (wiki.tenant.account.pw_uid, wiki.tenant.account.pw_gid)

    # The sandbox goes away in between, with its opcode cache and its sessions: the page and the login stay.
    machine.wait_for(lambda: not wiki.paddock.sandbox("wiki"), 20, "the idle sandbox is gone", interval=0.2)
    stranger = type(wiki)(wiki.port)
    assert "Ein Wörtchen" in stranger.browse("GET", "/doku.php?id=notes:first").ok().text
    page = wiki.browse("GET", "/doku.php?id=notes:first&do=edit").ok()
    _, fields = Forms(page.text).find("dw__editform")
    assert fields["wikitext"].replace("\r\n", "\n").strip() == text.strip()

    page = submit(wiki, page, "dw__editform", wikitext=text + "\nA second time.\n", summary="again", **{"do[save]": "1"})
    assert "A second time." in page.ok().text
    history = wiki.browse("GET", "/doku.php?id=notes:first&do=revisions").ok()
    assert "made by a test" in history.text and "again" in history.text
    found = wiki.browse("GET", "/doku.php?id=start&do=search&q=brackets").ok()
    assert found.status == 200


def test_upload_of_a_picture(wiki):
    log_in(wiki).ok()
    page = wiki.browse("GET", "/lib/exe/mediamanager.php?ns=&edid=wiki__text").ok()
    picture = wiki.tenant.docroot / "lib/tpl/dokuwiki/images/logo.png"
    upload(wiki, page, "dw__upload", "upload", picture, "image/png", mediaid="logo.png").ok()
    assert wiki.browse("GET", "/lib/exe/fetch.php?media=logo.png").ok().body == picture.read_bytes()


def test_log_out(wiki):
    page = log_in(wiki).ok()
    token = Forms(page.text)
    link = next(part for part in page.text.split('"') if "do=logout" in part).replace("&amp;", "&")
    page = wiki.browse("GET", link).ok()
    assert "Administrator" not in page.text and token.forms is not None


def test_administration(wiki):
    log_in(wiki).ok()
    page = wiki.browse("GET", "/doku.php?id=start&do=admin&page=config").ok()
    assert "savedir" in page.text
    page = wiki.browse("GET", "/doku.php?id=start&do=admin&page=usermanager").ok()
    assert "admin@example.invalid" in page.text

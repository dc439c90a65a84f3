"""MediaWiki from Debian's package with MariaDB, from installation to search, on three servers that answer alike."""

import html
import os
import re

import pytest

from harness import application as applications
from harness import forms, machine

PASSWORD = "correct horse battery staple"
# What differs between two wikis, or two moments of one.
VARYING = [
    (r"((?:mw_installer|DATABASE)_?(?:session|UserID|UserName|Token))=[^;]+", r"\1=VALUE"),  # cookies
    (r'^[0-9a-f]{24}$|(?<="wgRequestId":")[0-9a-f]{24}', "REQUEST"),  # X-Request-Id, in the page as well
    (r"\b1[789]\d{8}(000)?\b|\b20\d{12}\b", "MOMENT"),  # seconds since 1970; the timestamps of revisions and of edits
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\b\d\d:\d\d\b", "MOMENT"),  # of the API; of edits
    (r"(CPU|Real) time usage: [\d.]+", r"\1 time usage: TIME"),
    (r"\b[0-9a-f]{40}\b", "TOKEN"),  # against forged forms
    (r'"(wgBackendResponseTime|cputime|walltime)":"?[\d.]+"?', r'"\1":TIME'),  # what the page took
    (r'"phpsapi":"(?:apache2handler|fpm-fcgi)"', '"phpsapi":"SAPI"'),  # docs/compatibility.md
    # Counted when the answer has gone out already, maybe after the next request: test_what_follows_the_answer waits for it.
    (r'"wgUserEditCount":\d+', '"wgUserEditCount":NUMBER'),
    (r'"timingprofile":\[[^\]]*\]', '"timingprofile":[]'),
    (r'(\$wg(?:Secret|Upgrade)Key = )"[0-9a-f]+"', r'\1"KEY"'),  # of LocalSettings.php
]
# images/.htaccess has php_flag engine off, which the installer tries out: PHP-FPM does not know it.
KNOWN = {"fpm": r'(?s)<div class="config-message"><p><strong>Warning:</strong> Your default directory for uploads '
                r"<code>\S+</code> is vulnerable to arbitrary scripts execution.*?</div>\n"}
# Thousands of files, three times: languages that start with other letters than English, and what is not needed.
_LEFT_OUT = ("*/i18n/[!e]*", "languages/messages/Messages[!E]*", "extensions-core", "skins/[!V]*", "maintenance/[!it]*/*",
             "LocalSettings.php", "config", "extensions", "images")
_HTACCESS = """\
RewriteEngine On
RewriteRule ^wiki(/.*)?$ /index.php [L]
RewriteRule ^$ /wiki/Main_Page [R=301,L]
"""


def _place(docroot):
    applications.copy("mediawiki", "usr/share/mediawiki", docroot, leave_out=_LEFT_OUT)
    applications.copy("mediawiki-classes", "usr/share/mediawiki", docroot)
    applications.copy("mediawiki", "usr/share/mediawiki/extensions-core/ParserFunctions",
                      docroot / "extensions/ParserFunctions")
    applications.copy("mediawiki", "var/lib/mediawiki/images", docroot / "images")


def _install(site):
    """Through the pages of the installer, with what they propose; yields each."""
    page = site.browse("GET", "/mw-config/index.php").ok()
    answers = {"mysql_wgDBname": site.database, "mysql__InstallUser": site.database,
               "mysql__InstallPassword": site.database, "config_wgSitename": "A wiki", "config__AdminName": "Admin",
               "config__AdminPassword": PASSWORD, "config__AdminPasswordConfirm": PASSWORD}
    while "page=Complete" not in page.path:
        yield page
        attributes, fields = forms.Forms(page.text).forms[0]
        fields.update({name: value for name, value in answers.items() if name in fields})
        if "page=Options" in page.path:
            fields["config_wgEnableUploads"] = "1"
        page = site.browse("POST", forms.target(page, attributes),
                           **forms.urlencoded({**fields, "submit-continue": "on"})).ok()
    yield page


def _settle(site, settings):
    """The settings go where the installer says, with addresses as MediaWiki's manual has them for Apache."""
    file = site.docroot / "LocalSettings.php"
    file.write_text(settings + """
        $wgArticlePath = '/wiki/$1';
        $wgUsePathInfo = true;
        $wgCacheDirectory = false;  // Debian's is one for the whole host
        $wgUseImageMagick = false;  // or not, depending on what the machine has
    """)
    os.chown(file, site.owner.pw_uid, site.owner.pw_gid)
    file.chmod(0o600)
    (site.docroot / ".htaccess").write_text(_HTACCESS)


@pytest.fixture(scope="module")
def wikis(application):
    """Three wikis, installed as their owners would: in the browser."""
    with application(_place, varying=VARYING, known=KNOWN) as compare:
        assert "LocalSettings.php not found" in compare.get("/").text
        steps = {site: _install(site) for site in compare.sites.values()}
        paths = []
        while not paths or "page=Complete" not in paths[-1]:
            paths.append(compare(lambda site: next(steps[site])).path)
        assert len(paths) > 6 and compare.found == {"fpm"}
        file = compare.get("/mw-config/index.php?localsettings=1").ok()
        assert file.headers["Content-Disposition"] == 'attachment; filename="LocalSettings.php"'
        assert "$wgEnableUploads = true;" in file.text
        for site in compare.sites.values():
            _settle(site, site.browse("GET", "/mw-config/index.php?localsettings=1").ok().text)
        yield compare


def _log_in(site, password=PASSWORD):
    site.cookies.clear()
    page = site.browse("GET", "/wiki/Special:UserLogin").ok()
    return forms.submit(site, page, "userlogin", wpName="Admin", wpPassword=password, wploginattempt="Log in")


def _edit(site, title, text):
    page = site.browse("GET", f"/index.php?title={title}&action=edit").ok()
    return forms.submit(site, page, "editform", wpTextbox1=text, wpSummary="made by a test", wpSave="Save page")


def test_the_main_page(wikis):
    page = wikis.get("/").ok()
    assert page.path == "/wiki/Main_Page" and page.before[-1].status == 301
    assert "MediaWiki has been installed" in page.text
    style = re.search(r'<link rel="stylesheet" href="(/load.php[^"]*)"', page.text)[1]
    style = wikis.get(html.unescape(style)).ok()
    assert style.headers["Content-Type"] == "text/css; charset=utf-8" and len(style.body) > 10000
    assert wikis.get("/wiki/No_such_page").status == 404
    assert "<mediawiki" in wikis.get("/wiki/Special:Export/Main_Page").ok().text
    answer = wikis.get("/api.php?action=query&meta=siteinfo&format=json").ok()
    assert answer.json()["query"]["general"]["sitename"] == "A wiki"
    assert wikis.get("/rest.php/v1/page/Main_Page").ok().json()["title"] == "Main Page"
    assert wikis.get("/includes/Setup.php").status == 403  # by MediaWiki's own .htaccess


def test_a_wrong_password_is_refused(wikis):
    assert "Incorrect username or password entered" in wikis(_log_in, password="wrong").ok().text


def test_a_page_is_edited(wikis):
    assert "Log out" in wikis(_log_in).ok().text
    text = "== Ein Wörtchen ==\n\nSaved '''by a test''', with <nowiki><b>brackets</b></nowiki> & ümlauts €."
    page = wikis(_edit, "First", text).ok()
    assert page.path == "/wiki/First" and "<b>by a test</b>" in page.text
    assert "&lt;b&gt;brackets&lt;/b&gt; &amp; ümlauts €" in page.text
    assert "A second time" in wikis(_edit, "First", text + "\n\nA second time.").ok().text
    history = wikis.get("/index.php?title=First&action=history").ok()
    assert history.text.count("made by a test") == 2
    raw = wikis.get("/index.php?title=First&action=raw").ok()
    assert raw.text == text + "\n\nA second time."


def _edits(site):
    answer = site.browse("GET", "/api.php?action=query&meta=userinfo&uiprop=editcount&format=json").ok()
    return answer.json()["query"]["userinfo"]["editcount"]


def test_what_follows_the_answer(wikis):
    """MediaWiki counts edits when it has let the browser go, by fastcgi_finish_request() where there is one."""
    wikis(_log_in).ok()
    for site in wikis.sites.values():
        before = _edits(site)
        for number in range(5):
            _edit(site, "Counted", f"Number {number}.").ok()
        machine.wait_for(lambda: _edits(site) == before + 5, 10, "each edit is counted", interval=0.1)


def test_search(wikis):
    wikis(_log_in).ok()
    wikis(_edit, "Haystack", "Somewhere in here is an albatross.").ok()

    def found(site):
        # The index follows when the answer has gone out already.
        def page():
            answer = site.browse("GET", "/index.php?search=albatross&fulltext=1").ok()
            return answer if "searchmatch" in answer.text else None
        return machine.wait_for(page, 10, "the page is found")

    page = wikis(found)
    assert 'class="searchmatch">albatross' in page.text.replace("'", '"') and "/wiki/Haystack" in page.text
    assert wikis.get("/index.php?search=haystack").ok().path == "/wiki/Haystack"


def test_upload_of_a_picture(wikis):
    picture = applications.unpacked("mediawiki", "usr/share/mediawiki/resources/assets/mediawiki.png")
    wikis(_log_in).ok()

    def send(site):
        page = site.browse("GET", "/wiki/Special:Upload").ok()
        return forms.upload(site, page, "mw-upload-form", "wpUploadFile", picture, "image/png",
                            wpDestFile="Uploaded.png", wpUpload="Upload file")

    page = wikis(send).ok()
    assert page.path == "/wiki/File:Uploaded.png"
    path = re.search(r'class="fullMedia".*?href="([^"]*)"', page.text, re.DOTALL)[1]
    assert wikis.get(path).ok().body == picture.read_bytes()
    # Another size is PHP's own work, of its gd.
    page = wikis(_edit, "With_a_picture", "[[File:Uploaded.png|60px]]").ok()
    small = re.search(r'src="(/images/thumb/[^"]*)"', page.text)[1]
    assert wikis.get(small).ok().body.startswith(b"\x89PNG")


def test_log_out(wikis):
    wikis(_log_in).ok()

    def log_out(site):
        page = site.browse("GET", "/index.php?title=Special:UserLogout").ok()
        attributes, fields = next(form for form in forms.Forms(page.text).forms if "wpEditToken" in form[1])
        return site.browse("POST", forms.target(page, attributes), **forms.urlencoded(fields))

    assert "You are now logged out" in wikis(log_out).ok().text
    assert "Log in" in wikis.get("/wiki/Main_Page").ok().text

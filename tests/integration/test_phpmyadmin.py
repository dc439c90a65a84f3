"""phpMyAdmin from Debian's package with MariaDB: queries, import, export, on three servers that answer alike."""

import gzip
import html
import re
import secrets

import pytest

from harness import application as applications
from harness import forms

# What differs between two installations, or two moments of one.
VARYING = [
    (r"(token(?:=|:\"|\" value=\"))[0-9a-f]{32}", r"\1TOKEN"),  # against forged forms
    (r"(phpMyAdmin|pmaAuth-1|pmaUser-1)=[^;]+", r"\1=VALUE"),  # cookies: the session, a password and name, encrypted
    (r'(name="set_session" value)="\w+"', r'\1="SESSION"'),
    (r'(?<=[A-Za-z_"])\d{6,10}(?=")', "NUMBER"),  # of a table of results in its page, by chance
    (r'(data-[av]path)="[\w=.]+"', r'\1="PATH"'),  # the database's name in base64
    # mod_proxy_fcgi writes Last-Modified anew, and so in GMT, as HTTP wants it; phpMyAdmin in +0000.
    (r"MOMENT (GMT|\+0000)", "MOMENT"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "MOMENT"),  # when a table was made
    (r"\w{3} \d\d, \d{4} at \d\d:\d\d [AP]M", "MOMENT"),  # of an export
    (r"(?<=sql_signature=)[0-9a-f]{64}", "SIGNATURE"),  # of a link's query, by the session
    (r"took \d+\.\d+ seconds", "took MOMENTS"),  # of a query
]

_CONFIG = """\
<?php
$cfg['blowfish_secret'] = '%s';
$cfg['Servers'][1] = ['auth_type' => 'cookie', 'host' => 'localhost'];
"""


def _place(docroot):
    applications.copy("phpmyadmin", "usr/share/phpmyadmin", docroot, leave_out=("locale", "doc"))
    (docroot / "locale").mkdir()
    (docroot / "tmp").mkdir()
    # The package looks below /etc and /var/lib, which belong to all of a host.
    paths = docroot / "libraries/vendor_config.php"
    paths.write_text(paths.read_text().replace("'/etc/phpmyadmin/config.inc.php'", "ROOT_PATH . 'config.inc.php'")
                     .replace("'/var/lib/phpmyadmin/tmp/'", "ROOT_PATH . 'tmp/'"))
    (docroot / "config.inc.php").write_text(_CONFIG % secrets.token_hex(16))


@pytest.fixture(scope="module")
def administration(application):
    with application(_place, varying=VARYING) as compare:
        yield compare


def _log_in(site, password=None):
    site.cookies.clear()
    page = site.browse("GET", "/").ok()
    return forms.submit(site, page, "login_form", pma_username=site.database, pma_password=password or site.database)


def _send(site, sql):
    page = site.browse("GET", f"/index.php?route=/database/sql&db={site.database}").ok()
    return forms.submit(site, page, "sqlqueryform", sql_query=sql)


def test_a_wrong_password_is_refused(administration):
    page = administration(_log_in, password="wrong").ok()
    assert "Access denied for user" in page.text and "login_form" in page.text


def test_databases_are_listed(administration):
    assert "Database server" in administration(_log_in).ok().text
    page = administration.get("/index.php?route=/server/databases").ok()
    found = re.findall(r'<tr class="db-row" data-filter-row="(\w+)">', page.text)
    assert found == [administration.ours.database.upper()]  # nobody else's


def test_a_query_is_run(administration):
    administration(_log_in).ok()
    page = administration(_send, sql="CREATE TABLE asked (name VARCHAR(40), born YEAR); "
                                     "INSERT INTO asked VALUES ('Wörtlich & <b>so</b>', 1999), ('Ada', 2001)").ok()
    assert "2 rows inserted" in page.text
    page = administration(_send, sql="SELECT name, born + 1 AS later FROM asked ORDER BY born").ok()
    assert "Wörtlich &amp; &lt;b&gt;so&lt;/b&gt;" in page.text and ">2002<" in re.sub(r"\s", "", page.text)
    page = administration(_send, sql="SELECT * FROM missing").ok()
    assert "#1146" in page.text and "doesn't exist" in html.unescape(page.text)


@pytest.mark.parametrize("packed", (False, True), ids=("plain", "gzip"))
def test_a_file_is_imported(administration, tmp_path, packed):
    table = f"imported_{packed}".lower()
    # More than a FastCGI record or a pipe holds.
    names = [f"name-{number}-ä" for number in range(20000)]
    sql = f"CREATE TABLE {table} (name VARCHAR(40));\n" + "".join(
        f"INSERT INTO {table} VALUES {','.join(repr((name,))[:-2] + ')' for name in names[start:start + 1000])};\n"
        for start in range(0, len(names), 1000))
    file = tmp_path / f"{table}.sql{'.gz' if packed else ''}"
    file.write_bytes(gzip.compress(sql.encode()) if packed else sql.encode())

    def send(site):
        page = site.browse("GET", f"/index.php?route=/database/import&db={site.database}").ok()
        return forms.upload(site, page, "import_file_form", "import_file", file, "application/octet-stream")

    administration(_log_in).ok()
    assert "Import has been successfully finished" in administration(send).ok().text
    page = administration(_send, sql=f"SELECT COUNT(*) AS number, MAX(name) FROM {table}").ok()
    assert f">{len(names)}<" in re.sub(r"\s", "", page.text) and max(names) in page.text


def test_an_export_is_downloaded(administration):
    administration(_log_in).ok()
    administration(_send, sql="CREATE TABLE exported (name TEXT, number INT)").ok()
    administration(_send, sql="INSERT INTO exported SELECT CONCAT('name of ', seq), seq FROM seq_1_to_20000").ok()

    def export(site, **options):
        page = site.browse("GET", f"/index.php?route=/database/export&db={site.database}").ok()
        attributes, fields = forms.Forms(page.text).find("dump")
        fields["table_select[]"] = fields["table_structure[]"] = fields["table_data[]"] = "exported"
        return site.browse("POST", forms.target(page, attributes), **forms.urlencoded({**fields, **options}))

    file = administration(export, what="sql").ok()
    assert file.headers["Content-Disposition"] == f'attachment; filename="{administration.ours.database}.sql"'
    assert "CREATE TABLE `exported`" in file.text and file.text.count("'name of ") == 20000
    file = administration(export, what="csv").ok()
    assert file.text.splitlines()[-1] == '"name of 20000","20000"'


def test_log_out(administration):
    administration(_log_in).ok()

    def log_out(site):
        page = site.browse("GET", "/").ok()
        token = re.search(r'token:"(\w+)"', page.text)[1]
        return site.browse("POST", "/index.php?route=/logout", **forms.urlencoded({"token": token}))

    assert "login_form" in administration(log_out).ok().text
    page = administration.get("/index.php?route=/server/databases").ok()
    assert "login_form" in page.text and "selected_dbs" not in page.text

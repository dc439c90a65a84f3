"""PHP in three ways: Apache with mod_php, Apache with PHP-FPM, Apache with Paddock, by one php.ini."""

import contextlib
import pwd
import shutil
import subprocess

from . import application
from .apache import Apache
from .comparison import Comparison
from .fpm import fpm
from .mariadb import USUAL_DIRECTORY, MariaDB
from .mod_php import USER, mod_php

NAMES = ("mod_php", "fpm", "paddock")
FRONTS = ("proxy", "module")
# Beyond the first tenants of an instance.
_FPM_ACCOUNT, _DATABASE_ACCOUNT = 6, 7
_HANDLER = ('  <FilesMatch "\\.php$">\n    SetHandler "proxy:unix:{socket}|fcgi://{tenant}"\n    CGIPassAuth On\n'
            "  </FilesMatch>\n")


@contextlib.contextmanager
def servers(paddock, tenant, directory, docroots, account, front="proxy", children=1, ini=None):
    """Three sites by NAMES: `paddock`, started, serves `tenant`; PHP-FPM runs as `account`, mod_php as www-data.

    `front`: one of FRONTS, what speaks to Paddock: mod_proxy_fcgi or mod_paddock, which is in an Apache of its own.
    `ini`: settings of mod_php and PHP-FPM, which have no view of their own where everything is in its usual place.
    """
    directory.chmod(0o755)
    apache = Apache(paddock.directory)
    with contextlib.ExitStack() as stack:
        socket = stack.enter_context(fpm(directory, account, children, ini))
        first = stack.enter_context(mod_php(directory, docroots["mod_php"], children, ini))
        sites = {"mod_php": first, "fpm": apache.add_site("fpm", docroots["fpm"], socket, handler=_HANDLER)}
        ours = apache
        if front == "module":
            (paddock.directory / front).mkdir(mode=0o711)
            ours = Apache(paddock.directory / front, paddock=paddock)
        sites["paddock"] = ours.add_site(tenant.name, docroots["paddock"], paddock.sockets()[tenant.name],
                                         handler=None if front == "module" else _HANDLER)
        for server in {apache, ours}:
            stack.callback(server.stop)
            server.start()
        yield sites


def install(place, docroots, owners):
    """What place() makes, in each document root, its owner's (struct_passwd)."""
    first, *others = docroots.values()
    for docroot in docroots.values():
        shutil.rmtree(docroot, ignore_errors=True)
        docroot.parent.mkdir(exist_ok=True)
        docroot.parent.chmod(0o711)
    place(first)
    application.with_usual_modes(first)
    for docroot in others:
        subprocess.run(["cp", "--archive", "--reflink=auto", first, docroot], check=True)
    for name, docroot in docroots.items():
        owner = f"{owners[name].pw_uid}:{owners[name].pw_gid}"
        subprocess.run(["chown", "--recursive", "--no-dereference", owner, docroot], check=True)


@contextlib.contextmanager
def bound_database(paddock, accounts, directory, names):
    """The socket of a MariaDB with these databases, which is in its usual place in the sandboxes of `paddock`."""
    directory.mkdir()
    database = MariaDB(directory, accounts.get(_DATABASE_ACCOUNT), {name: name for name in names})
    paddock.plans["default"]["bind"] = [{"source": str(database.shown), "target": USUAL_DIRECTORY}]
    with database.running():
        yield database.socket


def _own(site):
    """What an answer of this site alone has in it, and what a comparison shows instead."""
    own = {f"127.0.0.1:{site.port}": "HOST", f"127.0.0.1%3A{site.port}": "HOST", str(site.docroot): "DOCROOT"}
    return own | dict.fromkeys((site.database, site.database.upper()) if site.database else (), "DATABASE")


@contextlib.contextmanager
def compared(make_paddock, accounts, directory, place, front="proxy", database=True, **options):
    """A Comparison of an application that place(docroot) puts there: three copies, each with a database of its own.

    Each belongs to who runs its PHP. MariaDB is reached as on a host with Debian's: by "localhost", whose socket is
    below /run/mysqld; Paddock's plan binds that. The user and the password of a database are its name. `database`:
    False for an application that needs none.
    """
    paddock = make_paddock()
    tenant = paddock.add_tenant("alice")
    docroots = {name: directory / name / "public_html" for name in NAMES[:-1]} | {"paddock": tenant.docroot}
    databases = {name: f"of_{name}" for name in NAMES} if database else {}
    owners = {"mod_php": pwd.getpwnam(USER), "fpm": accounts.get(_FPM_ACCOUNT), "paddock": tenant.account}
    install(place, docroots, owners)
    (directory / "sessions").mkdir()
    (directory / "sessions").chmod(0o1777)
    # Who has a mail server here does not get the applications' mail.
    ini = {"session.save_path": directory / "sessions", "sendmail_path": "/bin/true"}
    with contextlib.ExitStack() as stack:
        if database:
            ini["mysqli.default_socket"] = stack.enter_context(
                bound_database(paddock, accounts, directory / "mariadb", databases.values()))
        paddock.start()
        # An application that asks its own site needs a second one that answers.
        sites = stack.enter_context(
            servers(paddock, tenant, directory, docroots, owners["fpm"], front, children=4, ini=ini))
        for name, site in sites.items():
            site.docroot, site.database, site.owner = docroots[name], databases.get(name), owners[name]
        yield Comparison(sites, **options, own=_own)

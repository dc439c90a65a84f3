"""An Apache with mod_php, for comparison: the same PHP, the same php.ini, its files below one directory."""

import contextlib

from . import apache, daemon, machine
from .web import Site

USER = "www-data"

_CONFIG = """\
Listen 127.0.0.1:{port}
LoadModule php_module {modules}/libphp8.2.so
PHPIniDir /etc/php/8.2/embed
StartServers {children}
MinSpareServers 1
MaxSpareServers {children}
ServerLimit {children}
MaxRequestWorkers {children}
DocumentRoot {docroot}
{ini}
<FilesMatch "\\.php$">
  SetHandler application/x-httpd-php
</FilesMatch>
""" + apache.DIRECTORY


@contextlib.contextmanager
def mod_php(directory, docroot, children=1, ini=None):
    """The site that it serves; `ini`: settings beside those of php.ini."""
    site = Site(machine.free_port())
    (directory / "mod_php.conf").write_text(apache.beginning(directory, USER, "prefork") + _CONFIG.format(
        port=site.port, docroot=docroot, children=children, modules=apache.MODULES,
        ini="\n".join(f'php_admin_value {name} "{value}"' for name, value in (ini or {}).items())))

    def answers():
        with contextlib.suppress(OSError):
            return site.get("/does-not-exist.html", seconds=2)
        return None

    with daemon.running([apache.PROGRAM, "-f", directory / "mod_php.conf", "-DFOREGROUND"], answers,
                        "Apache with mod_php answers"):
        yield site

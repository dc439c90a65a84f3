"""An Apache with mod_php, for comparison: the same PHP, the same php.ini, its files below one directory."""

import contextlib

from . import apache, daemon, machine
from .web import Site

USER = "www-data"
_MODULES = ("mpm_prefork", "authz_core", "mime", "dir", "alias", "env", "setenvif", "headers", "rewrite")

_CONFIG = """\
ServerRoot {directory}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {directory}/pid
DefaultRuntimeDir {directory}
ErrorLog {directory}/error.log
{modules}
LoadModule php_module {library}
PHPIniDir /etc/php/8.2/embed
User {user}
Group {user}
StartServers {children}
MinSpareServers 1
MaxSpareServers {children}
ServerLimit {children}
MaxRequestWorkers {children}
{types}
DocumentRoot {docroot}
{ini}
<Directory {docroot}>
  AllowOverride All Nonfatal=Unknown
  Options FollowSymLinks
  Require all granted
  DirectoryIndex index.php index.html
</Directory>
<FilesMatch "\\.php$">
  SetHandler application/x-httpd-php
</FilesMatch>
"""


@contextlib.contextmanager
def mod_php(directory, docroot, children=1, ini=None):
    """The site that it serves; `ini`: settings beside those of php.ini."""
    site = Site(machine.free_port())
    (directory / "mod_php.conf").write_text(_CONFIG.format(
        directory=directory, port=site.port, docroot=docroot, user=USER, children=children, types=apache.TYPES,
        library=f"{apache.MODULES}/libphp8.2.so",
        modules="\n".join(f"LoadModule {name}_module {apache.MODULES}/mod_{name}.so" for name in _MODULES),
        ini="\n".join(f'php_admin_value {name} "{value}"' for name, value in (ini or {}).items())))

    def answers():
        with contextlib.suppress(OSError):
            return site.get("/does-not-exist.html", seconds=2)
        return None

    with daemon.running([apache.PROGRAM, "-f", directory / "mod_php.conf", "-DFOREGROUND"], answers,
                        "Apache with mod_php answers"):
        yield site

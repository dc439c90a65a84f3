"""PHP-FPM with one pool, for comparison: the same PHP, the same php.ini, its files below one directory."""

import contextlib
import grp

from . import daemon

PROGRAM = "/usr/sbin/php-fpm8.2"

_POOL = """\
[global]
error_log = {directory}/fpm.log
daemonize = no
[compared]
user = {user}
group = {group}
listen = {directory}/fpm.sock
listen.owner = www-data
pm = static
pm.max_children = {children}
{ini}
{lines}
"""


@contextlib.contextmanager
def fpm(directory, account, children=1, ini=None, lines=""):
    """Its socket; `ini`: settings beside those of php.ini; `lines`: more of the pool."""
    values = "\n".join(f"php_admin_value[{name}] = {value}" for name, value in (ini or {}).items())
    (directory / "fpm.conf").write_text(_POOL.format(directory=directory, user=account.pw_name, children=children,
                                                     group=grp.getgrgid(account.pw_gid).gr_name, ini=values, lines=lines))
    socket = directory / "fpm.sock"
    with daemon.running([PROGRAM, "-F", "-c", "/etc/php/8.2/embed", "-y", directory / "fpm.conf"], socket.exists,
                        "PHP-FPM listens"):
        yield socket

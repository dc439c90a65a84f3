"""A visitor of a tenant's site: one request on its socket, as a web server would send it."""

import re
import threading

from . import fastcgi, machine

CUT = "cut"  # the connection ended without an answer: a web server makes a 503 of it


class Visit(threading.Thread):
    """A request under way; result() is the status of its answer once there is one."""

    def __init__(self, paddock, socket, tenant, php=None):
        """php: the body of a function that is to be executed, and to return true; None: a page that says hello."""
        super().__init__()
        docroot = paddock.tenants[tenant].docroot
        self.socket = socket
        self.script, self.body = (docroot / "run.php", php.encode()) if php else (docroot / "hello.php", b"")
        self.wanted = b"true" if php else b"hello\n"
        self.status = None
        self.start()

    def run(self):
        try:
            answer = fastcgi.fetch(self.socket, self.script, machine.patience(60), body=self.body,
                                   method="POST" if self.body else "GET")
            status = re.match(rb"Status: (\d+)", answer.stdout)
            if not answer.records and not answer.timed_out:
                self.status = CUT
            else:
                self.status = int(status[1]) if status else 200 if answer.body == self.wanted else answer
        except OSError as error:
            self.status = repr(error)

    def result(self):
        self.join()
        return self.status


class Visitors:
    """visit(tenant) for an instance: the sockets keep their paths, and `paddock sockets` may not answer during a fault."""

    def __init__(self, paddock):
        self.paddock = paddock
        self.sockets = paddock.sockets()

    def __call__(self, tenant, php=None):
        return Visit(self.paddock, self.sockets[tenant], tenant, php)

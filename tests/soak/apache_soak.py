"""Graceful restarts of Apache with mod_paddock, reloads of Paddock's config and clients that go, mixed."""

import contextlib
import random
import shutil
import socket
import threading

import growth
from harness import audit, machine
from harness.apache import Apache
from harness.paddock import Paddock

SLOW = "<?php usleep(60000); echo 'slow';"
TENANTS = ("alice", "bob")


class Visitors:
    """Two a site, without a pause: every answer has to be right."""

    def __init__(self, sites):
        self.answers = 0
        self.lost = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(site,)) for site in sites for _ in range(2)]

    def _visit(self, site):
        while not self._done.is_set():
            try:
                response = site.get(random.choice(("/hello.php", "/hello.php", "/slow.php")), seconds=60)
            except Exception as error:  # whatever it is, an answer it is not
                self.lost.append(repr(error))
                continue
            self.answers += 1
            if response.status != 200:
                self.lost.append(f"{response.status}: {response.text[:200]}")

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        for thread in self._threads:
            thread.join()


def _abort(site):
    """A client that goes: with its request half sent, sent, or half answered."""
    request = b"GET /slow.php HTTP/1.1\r\nHost: x\r\n\r\n"
    how = random.choice(("half", "sent", "answered"))
    with contextlib.suppress(ConnectionResetError), socket.create_connection((site.host, site.port), 30) as client:
        client.sendall(request[:10] if how == "half" else request)
        if how == "answered":
            client.recv(10)


def _settled(apache, paddock):
    machine.wait_for(lambda: len(apache.children()) == apache.servers, 60, "old children have ended")
    paddock.settle()
    return growth.figures(apache=apache.process.pid, paddockd=paddock.supervisor.pid, gateway=paddock.gateway())


def soak(options, accounts):
    with contextlib.ExitStack() as stack:
        directory = audit.private_directory()
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        paddock = Paddock(directory, accounts, plan={"workers": 4})
        stack.callback(paddock.destroy)
        for name in TENANTS:
            script = paddock.add_tenant(name).docroot / "slow.php"
            script.write_text(SLOW)
            script.chmod(0o644)
        paddock.start()
        apache = Apache(directory, servers=1, threads=25, paddock=paddock)
        sites = [apache.add_site(name, paddock.tenants[name].docroot, "") for name in TENANTS]
        stack.callback(apache.stop)
        apache.start()

        done = {"restarts": 0, "reloads": 0, "aborts": 0}

        def reload():
            paddock.plans["default"]["workers"] = random.choice((3, 4, 5))
            paddock.write_config()
            paddock.cli("reload")

        events = {"restarts": apache.graceful, "reloads": reload, "aborts": lambda: _abort(random.choice(sites))}

        def happen(number):
            for _ in range(number):
                name = random.choice(list(events))
                events[name]()
                done[name] += 1

        # The first tenth makes everything that is made once.
        with Visitors(sites) as visitors:
            happen(options.events // 10)
        before = _settled(apache, paddock)
        with Visitors(sites) as more:
            happen(options.events - options.events // 10)
        after = _settled(apache, paddock)
        lost = visitors.lost + more.lost
        print(f"{visitors.answers + more.answers:,} requests answered, {len(lost)} lost; "
              + ", ".join(f"{count:,} {name}" for name, count in done.items()), flush=True)
        problems = [f"apache: lost: {what}" for what in sorted(set(lost))[:10]]
        if lost:
            # INFO lines tell of clients that went, which was wanted.
            lines = [line for line in apache.error_log().splitlines() if "paddock:" in line and ":info]" not in line]
            print("Apache's log:", *lines[-20:], "paddockd's log:", *paddock.log().splitlines()[-40:], sep="\n")
        return problems + growth.problems("apache", before, after)

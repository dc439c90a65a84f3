"""Mixed requests to many tenants behind mod_paddock, while everything that happens in a year happens."""

import contextlib
import os
import pathlib
import random
import shutil
import subprocess
import time

import growth
from harness import audit, machine, process
from harness.apache import Apache
from harness.paddock import Paddock
from harness.service_manager import ServiceManager

MIX = pathlib.Path(__file__).with_name("mix.lua")
SITE = {
    "digest.php": "<?php echo md5(file_get_contents('php://input'));",
    "large.php": "<?php for ($i = 0; $i < 32; ++$i) echo str_repeat('x', 8192);",
    "slow.php": "<?php usleep(20000); echo 'slow';",
    "static.css": "p { color: black }\n",
}
CONNECTIONS = 16
SLICE = 10  # seconds of load between two looks at how many requests there were


class Load:
    """wrk, for one slice."""

    def __init__(self, site, hosts, connections):
        self._wrk = subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", f"-d{SLICE}s", "--timeout", "60s", "-s", MIX,
             f"http://{site.host}:{site.port}/"],
            env={**os.environ, "HOSTS": " ".join(hosts), "SEED": str(random.randrange(1 << 30))},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)

    def running(self):
        return self._wrk.poll() is None

    def result(self):
        """(requests, errors by kind)"""
        text = self._wrk.communicate(timeout=SLICE + 120)[0]
        for line in text.splitlines():
            if line.startswith("RESULT "):
                requests, *errors = map(int, line.split()[1:])
                return requests, dict(zip(("connect", "read", "write", "status", "timeout"), errors))
        raise RuntimeError(f"wrk said nothing of its result:\n{text}")


class Host:
    def __init__(self, options, accounts, stack):
        directory = audit.private_directory()
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        self.paddock = Paddock(directory, accounts, plan={"workers": 4, "idle": "5s", "queue": 200})
        stack.callback(self.paddock.destroy)
        self.names = [f"t{number}" for number in range(options.tenants)]
        # One in ten is killed and blocked now and then: their visitors see that, the others' must not.
        self.doomed = self.names[::10]
        self.safe = [name for name in self.names if name not in self.doomed]
        for name in self.names:
            docroot = self.paddock.add_tenant(name).docroot
            for file, text in SITE.items():
                (docroot / file).write_text(text)
                (docroot / file).chmod(0o644)
        (directory / "map").write_text("".join(f"{name} {name}\n" for name in self.names))
        self.paddock.manager = ServiceManager()
        stack.callback(self.paddock.manager.close)
        self.paddock.start(60)
        self.apache = Apache(directory, paddock=self.paddock)
        self.site = self.apache.add_site(self.names[0], self.paddock.tenants[self.names[0]].docroot, "",
                                         handler=f"ServerAlias *\nPaddockTenantFrom map {directory}/map\n" + self._docroots())
        stack.callback(self.apache.stop)
        self.apache.start()
        self.happened = {}

    def _docroots(self):
        """Each host's files are its tenant's."""
        rules = ["RewriteEngine On"]
        for name in self.names:
            docroot = self.paddock.tenants[name].docroot
            rules += [f"RewriteCond %{{{{HTTP_HOST}}}} ={name}", f"RewriteRule ^/(.*)$ {docroot}/$1 [L]"]
        directories = [f"<Directory {self.paddock.tenants[name].docroot}>\nRequire all granted\n</Directory>"
                       for name in self.names]
        return "\n".join(rules + directories) + "\n"

    # --- what happens

    def stop_one(self):
        self.paddock.cli("stop", random.choice(self.safe))

    def restart_one(self):
        self.paddock.cli("restart", random.choice(self.safe))

    def kill_one(self):
        self.paddock.cli("kill", random.choice(self.doomed))

    def block_one(self):
        name = random.choice(self.doomed)
        self.paddock.cli("block", name, "--reason", "soak")
        self.paddock.cli("unblock", name)

    def reload(self):
        self.paddock.plans["default"]["workers"] = random.choice((3, 4, 5))
        self.paddock.write_config()
        self.paddock.cli("reload")

    def gateway_dies(self):
        self._dies(self.paddock.gateway)

    def zygote_dies(self):
        self._dies(self.paddock.zygote)

    def _dies(self, find):
        before = find()
        process.kill(before)
        machine.wait_for(lambda: find() not in (None, before), 30, "another is there")

    def supervisor_dies(self):
        self.paddock.kill()
        self._start_again()

    def supervisor_restarts(self):
        self.paddock.stop(60)
        self._start_again()

    def _start_again(self):
        self.paddock.start(60)
        self.paddock.manager.wait_for("READY=1", machine.patience(30))

    def something_happens(self):
        often = [self.stop_one, self.restart_one, self.kill_one, self.block_one, self.reload]
        seldom = [self.gateway_dies, self.zygote_dies, self.supervisor_dies, self.supervisor_restarts]
        what = random.choice(often * 4 + seldom)
        what()
        self.happened[what.__name__] = self.happened.get(what.__name__, 0) + 1

    def settled(self):
        for name in self.names:
            self.paddock.cli("stop", name)
        machine.wait_for(lambda: not self.paddock.sandbox(), 60, "every sandbox has ended")
        machine.wait_for(lambda: self.paddock.zygote() is not None, 30, "the zygote is there")
        time.sleep(2)  # what was reported about the last requests has been written down
        figures = growth.figures(apache=self.apache.process.pid, paddockd=self.paddock.supervisor.pid,
                                 gateway=self.paddock.gateway(), zygote=self.paddock.zygote())
        figures["machine"]["cgroups"] = len(self.paddock._cgroups())
        figures["machine"]["processes"] = len(process.descendants(self.paddock.supervisor.pid))
        return figures


def soak(options, accounts):
    with contextlib.ExitStack() as stack:
        host = Host(options, accounts, stack)
        requests, lost, told_off, before = 0, [], 0, None
        while requests < options.requests:
            loads = Load(host.site, host.safe, CONNECTIONS - 2), Load(host.site, host.doomed, 2)
            while any(load.running() for load in loads):
                host.something_happens()
                time.sleep(random.uniform(0, 1))
            (safe, errors), (doomed, of_doomed) = (load.result() for load in loads)
            requests += safe + doomed
            # A kill may come in the middle of an answer.
            told_off += of_doomed.pop("status") + of_doomed.pop("read")
            lost += [f"requests: {count} {kind} errors" for kind, count in {**errors}.items() if count]
            lost += [f"requests: {count} {kind} errors of those that are killed"
                     for kind, count in of_doomed.items() if count]
            print(f"{requests:,} requests, {sum(host.happened.values())} events, lost: {len(lost)}", flush=True)
            # After the first tenth all that is made once is made.
            if before is None and requests * 10 >= options.requests:
                before = host.settled()
        after = host.settled()
        print(f"{requests:,} requests to {options.tenants} tenants; {told_off:,} were told of a kill or a block; "
              + ", ".join(f"{count} {name}" for name, count in sorted(host.happened.items())))
        if lost:
            lines = [line for line in host.apache.error_log().splitlines() if ":error]" in line]
            print("Apache's log:", *lines[-30:], sep="\n")
        problems = lost + growth.problems("requests", before, after)
        manager, host.paddock.manager = host.paddock.manager, None
        host.paddock.stop(60)
        host.paddock.manager = manager
        return problems

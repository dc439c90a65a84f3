"""Pools of PHP-FPM as tenants of a Paddock: what a stand-in for php-fpm (fpm_stand_in.py) hands over."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import tomllib

from . import machine
from .paddock import Tenant

_MOST_LISTENERS = 253  # SCM_MAX_FD
_LARGEST_REQUEST = 1 << 18
# PHP-FPM always lets the web server set what it likes.
_FROM_THE_WEB = {"ini_from_web": "admin",
                 "grant": [{"name": "ini-from-web", "reason": "as PHP-FPM has it"}]}


class Refused(Exception):
    pass


async def _cancel(tasks):
    """Ends them: a socket must not be closed under one that waits for it."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(source, destination):
    """Until either end closes; then the destination's way in is closed, too."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await loop.sock_recv(source, 1 << 16):
            await loop.sock_sendall(destination, data)
        destination.shutdown(socket.SHUT_WR)


async def _relay(client, path):
    """Bytes between a client and a tenant's socket, until the tenant has closed: a client may end its side early."""
    with client, socket.socket(socket.AF_UNIX) as tenant:
        client.setblocking(False)
        tenant.setblocking(False)
        await asyncio.get_running_loop().sock_connect(tenant, str(path))
        forth = asyncio.create_task(_pass_on(client, tenant))
        try:
            await _pass_on(tenant, client)
        finally:
            await _cancel([forth])


async def _accept(listener, path):
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    relays = set()
    with listener:
        try:
            while True:
                client, _ = await loop.sock_accept(listener)
                relay = loop.create_task(_relay(client, path))
                relays.add(relay)
                relay.add_done_callback(relays.discard)
        finally:
            await _cancel(relays)


async def _follow(log, descriptor):
    """What comes to a log from now on goes to the descriptor as well."""
    at = log.stat().st_size if log.exists() else 0
    with open(descriptor, "ab", buffering=0) as copy:
        while True:
            try:
                await asyncio.sleep(0.02)
            finally:
                if log.exists():
                    with open(log, "rb") as file:
                        file.seek(at)
                        at += copy.write(file.read())


class Pools:
    """`with Pools(paddock, account, home, path)`: stand-ins reach it at the socket `path`.

    One stand-in at a time has tenants; they are `account`'s, whatever user the pools name, as with a php-fpm that
    `account` starts.
    """

    def __init__(self, paddock, account, home, path):
        self._paddock = paddock
        self._account = account
        self._home = home
        self._path = path
        self._plans = dict(paddock.plans)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._idle = threading.Event()
        self._idle.set()
        self._failure = None
        self._loop = asyncio.new_event_loop()
        self._tasks = []
        self._do = {"test": self._test, "serve": self._put_in_force, "withdraw": self._withdraw}

    def __enter__(self):
        self._socket.bind(str(self._path))
        self._path.chmod(0o666)
        self._socket.listen()
        self._relays = threading.Thread(target=self._loop.run_forever)
        self._server = threading.Thread(target=self._serve)
        self._relays.start()
        self._server.start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._server.join()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._relays.join()
        self._socket.close()
        self._loop.close()

    def wait(self):
        """Until no stand-in is there any more; raises what went wrong when the last one left."""
        assert self._idle.wait(machine.patience(30))
        failure, self._failure = self._failure, None
        if failure:
            raise failure

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._idle.clear()
            try:
                with connection, contextlib.suppress(ConnectionError):
                    self._converse(connection)
                self._withdraw()
            except (AssertionError, subprocess.TimeoutExpired) as error:
                self._failure = error
            finally:
                self._idle.set()

    def _converse(self, connection):
        while True:
            message, descriptors, _, _ = socket.recv_fds(connection, _LARGEST_REQUEST, _MOST_LISTENERS)
            if not message:
                return
            request = json.loads(message)
            problem = ""
            try:
                self._do[request.pop("action")](descriptors, **request)
            except (Refused, AssertionError, subprocess.TimeoutExpired) as error:
                problem = str(error)
            for unused in descriptors:
                os.close(unused)
            connection.send(json.dumps({"problem": problem}).encode())

    # --- what a stand-in asks for

    def _test(self, _descriptors, config, pools, ini):
        self._imported(config, pools)

    def _put_in_force(self, descriptors, config, pools, ini):
        imported = self._imported(config, pools)
        for plan in imported["plan"].values():
            plan |= _FROM_THE_WEB
            plan["php_value"] = {name: value.strip('"') for name, value in ini.items()}
        self._call(self._stop())
        self._paddock.tenants.clear()
        self._paddock.plans = {**self._plans, **imported["plan"]}
        for name, options in imported["tenant"].items():
            options["user"] = self._account.pw_name
            self._paddock.tenants[name] = Tenant(name, self._account, self._home, options)
        self._reload()
        sockets = self._paddock.sockets()
        for has_access_log, tenant in zip(pools.values(), imported["tenant"]):
            tasks = [_accept(socket.socket(fileno=descriptors.pop(0)), sockets[tenant])]
            if has_access_log:
                log = self._paddock.directory / "log/access" / f"{tenant}.log"
                tasks.append(_follow(log, descriptors.pop(0)))
            self._call(self._start(*tasks))

    def _withdraw(self, _descriptors=()):
        if not self._paddock.tenants:
            return
        self._paddock.tenants.clear()
        self._paddock.plans = dict(self._plans)
        self._reload()
        machine.wait_for(lambda: not self._paddock.sandbox(), 20, "every sandbox has ended")
        self._call(self._stop())

    # --- how

    def _imported(self, config, pools):
        """What `paddock import fpm` makes of it: {"plan": …, "tenant": …}."""
        source = self._paddock.directory / "import"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        shutil.copy(config, source / "0.conf")
        (source / "1.conf").write_text("".join(f"[{pool}]\nuser = {self._account.pw_name}\n" for pool in pools))
        done = self._paddock.cli("import", "fpm", str(source), check=False)
        imported = tomllib.loads(done.stdout)
        if len(imported.get("tenant", {})) != len(pools):
            raise Refused(re.sub(r"\s+", " ", done.stderr))
        return imported

    def _reload(self):
        self._paddock.write_config()
        self._paddock.cli("reload")

    def _call(self, coroutine):
        """In the relays' thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(machine.patience(20))

    async def _start(self, *coroutines):
        self._tasks += [asyncio.create_task(coroutine) for coroutine in coroutines]

    async def _stop(self):
        await _cancel(self._tasks)
        self._tasks.clear()

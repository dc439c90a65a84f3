"""Networks of tenants' own: Paddock in a network namespace that stands for the host, and a world beside it."""

import contextlib
import json
import shutil
import socket
import subprocess
import threading

import pytest

from harness import machine, network
from harness.network import GATEWAY, HOST, WORLD, Nameserver, Server, two_sides

# Each takes the better part of a minute there; the first has all of the kernel's part in it.
in_the_vm_one_is_enough = pytest.mark.no_vm
PAYLOAD = 3_000_000
SERVICE, SECRET = 3306, 11211  # on the host's loopback: the first is named in the plan
# Each of these is a PHP function body.
CONNECT = "$s = @fsockopen('{}', {}, $no, $text, {}); return $s ? stream_get_contents($s) : $no;"
REFUSED = 111  # ECONNREFUSED


class Surroundings:
    """A host and a world with the servers of these tests."""

    def __init__(self, stack):
        self.host, self.world = stack.enter_context(two_sides())
        self.servers = {}
        say = lambda text: lambda connection: connection.sendall(text)
        for name, side, address, port, handle in (
                ("web", self.world, WORLD, 80, say(b"the world")),
                ("mail", self.world, WORLD, 25, say(b"220 mail")),
                ("other", self.world, WORLD, 8080, say(b"other")),
                ("large", self.world, WORLD, 81, say(bytes(PAYLOAD))),
                ("upload", self.world, WORLD, 82, self._swallow),
                ("service", self.host, "127.0.0.1", SERVICE, say(b"the database")),
                ("secret", self.host, "127.0.0.1", SECRET, say(b"secret")),
                ("ssh", self.host, "0.0.0.0", 22, say(b"SSH")),
                ("own", self.host, HOST, 443, say(b"own site"))):
            self.servers[name] = Server(side, address, port, handle)
            stack.callback(self.servers[name].close)
        self.names = Nameserver(self.host, "127.0.0.53", "192.0.2.77")
        stack.callback(self.names.close)

    @staticmethod
    def _swallow(connection):
        while connection.recv(65536):
            pass


PLANS = {
    "nat": {"network": "nat"},
    "services": {"network": "nat", "network_services": [f"127.0.0.1:{SERVICE}", f"{HOST}:443"]},
    "narrow": {"network": "nat", "network_allow": [f"{WORLD}:25", "192.0.2.0/24"]},
    "slow": {"network": "nat", "network_new_per_second": 3},
    "none": {"network": "none"},
}
TENANTS = {"alice": "nat", "bob": "nat", "carol": "services", "dora": "narrow", "emil": "slow", "fritz": "none"}


class Networked:
    def __init__(self, surroundings, paddock, apache):
        self.around = surroundings
        self.paddock = paddock
        self.sites = apache.sites

    def connect(self, tenant, address, port, seconds=5):
        return self.sites[tenant].run(CONNECT.format(address, port, machine.patience(seconds)))

    def address(self, tenant):
        return self.sites[tenant].run("return net_get_interfaces()['eth0']['unicast'][1]['address'];")


@pytest.fixture
def networked(make_paddock, make_apache):
    with contextlib.ExitStack() as stack:
        surroundings = Surroundings(stack)
        paddock = make_paddock(plans=PLANS, runtime={"stop_patience": "30s"})
        stack.callback(paddock.close)  # before its host goes; a second time is harmless
        paddock.namespace = surroundings.host.path
        paddock.network = {"range": network.RANGE, "resolver": "127.0.0.53"}
        for name, plan in TENANTS.items():
            paddock.add_tenant(name, plan=plan)
        yield Networked(surroundings, paddock, make_apache(paddock.start()))


def around_listens(networked, tenant):
    """What is listened on in a tenant's network namespace."""
    keeper = networked.paddock.keeper(tenant)
    return subprocess.run(["nsenter", f"--net=/proc/{keeper}/ns/net", "--", "ss", "-ltnH"], check=True,
                          capture_output=True, text=True).stdout


def test_what_a_tenant_reaches(networked):
    around, connect = networked.around, networked.connect
    # Names.
    assert networked.sites["alice"].run("return gethostbyname('any.example.');") == "192.0.2.77"
    # The world, from the host's address.
    assert connect("alice", WORLD, 80) == "the world"
    assert around.servers["web"].clients == [HOST]
    # Not mail, and it is told at once.
    assert connect("alice", WORLD, 25, seconds=60) == REFUSED
    assert around.servers["mail"].clients == []
    # Not the neighbour.
    bob = networked.address("bob")
    assert bob.startswith("10.213.0.") and bob != networked.address("alice")
    listening = """$s = stream_socket_server('tcp://0.0.0.0:8000');
        for ($n = 0; $n < 9; ++$n) { $c = stream_socket_accept($s, 600); fwrite($c, 'bob'); $all = fread($c, 4); fclose($c);
                                     if ($all == 'end') return $n; }"""
    accepted = []
    server = threading.Thread(target=lambda: accepted.append(networked.sites["bob"].run(listening, seconds=120)))
    server.start()

    def host_to_bob(word):
        with around.host.call(lambda: socket.create_connection((bob, 8000), timeout=machine.patience(10))) as caller:
            caller.sendall(word)
            return caller.recv(10)
    machine.wait_for(lambda: "0.0.0.0:8000" in around_listens(networked, "bob"), 20, "bob listens")
    assert host_to_bob(b"one") == b"bob"
    assert connect("alice", bob, 8000) == REFUSED
    # From the world nobody reaches a tenant either, even with a route.
    around.world.ip("route", "add", network.RANGE, "via", HOST)
    with pytest.raises(OSError):
        around.world.call(lambda: socket.create_connection((bob, 8000), timeout=0.5))
    around.world.ip("route", "delete", network.RANGE)
    host_to_bob(b"end")
    server.join()
    assert accepted == [1]  # nobody but the host came
    # Not the host: neither its loopback nor its other addresses.
    for address in (GATEWAY, HOST, "127.0.0.1"):
        for port in (22, SECRET, SERVICE, 443):
            assert connect("alice", address, port) == REFUSED, (address, port)
    # Unless the plan names it: on loopback under the gateway's address.
    assert connect("carol", GATEWAY, SERVICE) == "the database"
    assert around.servers["service"].clients == [networked.address("carol")]
    assert networked.sites["carol"].run("return getenv('PADDOCK_HOST');") == GATEWAY
    assert connect("carol", HOST, 443) == "own site"
    for address, port in ((GATEWAY, SECRET), (HOST, 22), (GATEWAY, 443), (HOST, SERVICE)):
        assert connect("carol", address, port) == REFUSED, (address, port)
    # A plan that names destinations opens nothing else; a port that it names itself is open.
    assert connect("dora", WORLD, 25) == "220 mail"
    assert connect("dora", WORLD, 80) == REFUSED
    # The metadata of clouds, which would lead to the world here.
    assert connect("alice", "169.254.169.254", 80) == REFUSED
    # Nothing at all.
    assert connect("fritz", WORLD, 80) == 101  # ENETUNREACH
    for tenant in ("secret", "ssh"):
        assert around.servers[tenant].clients == []


@in_the_vm_one_is_enough
def test_nobody_changes_or_forges_anything_in_a_network_of_its_own(networked):
    """Attempts of tests/attackers, which also has the control run."""
    names = ["take-address", "take-route", "interface-flags", "interface-mtu", "forge-source", "mark-packets", "raw-socket",
             "packet-socket", "netfilter-socket"]
    alice = networked.paddock.tenants["alice"]
    program = alice.home / "attacker"
    shutil.copy(machine.BIN.parent / "tests/attacker", program)
    program.chmod(0o755)
    before = networked.address("alice")
    said = networked.sites["alice"].run(f"return shell_exec('{program} sandbox only={','.join(names)} 2>&1');")
    rows = [line.split("\t") for line in said.splitlines()]
    assert sorted(row[0] for row in rows) == sorted(names), said
    assert not [row for row in rows if row[1] != row[2]]
    assert networked.address("alice") == before
    assert networked.connect("alice", WORLD, 80) == "the world"


@in_the_vm_one_is_enough
def test_names_resolve(networked):
    site = networked.sites["alice"]
    assert site.run("return [gethostbyname('any.example.'), file_get_contents('/etc/resolv.conf')];") == [
        "192.0.2.77", f"nameserver {GATEWAY}\n"]
    # A resolver such as systemd's talks to its own host only.
    assert set(networked.around.names.clients) == {"127.0.0.1"}
    assert networked.sites["dora"].run("return gethostbyname('other.example.');") == "192.0.2.77"
    # Those with the host's files have the host's.
    assert "10.213" not in networked.sites["fritz"].run("return (string)@file_get_contents('/etc/resolv.conf');")


@in_the_vm_one_is_enough
def test_bytes_are_counted(networked):
    paddock, world = networked.paddock, networked.around.world

    def counted():
        figures = world.interfaces()["downlink"]["stats64"]
        return figures["tx"]["bytes"], figures["rx"]["bytes"]
    assert networked.connect("alice", WORLD, 80) == "the world"
    before, wire = paddock.usage("alice"), counted()
    assert networked.sites["alice"].run(f"""
        $in = stream_socket_client('tcp://{WORLD}:81'); $size = strlen(stream_get_contents($in));
        $out = stream_socket_client('tcp://{WORLD}:82'); $data = str_repeat('x', {PAYLOAD});
        for ($sent = 0; $sent < {PAYLOAD}; $sent += fwrite($out, substr($data, $sent)));
        return [$size, $sent];""") == [PAYLOAD, PAYLOAD]
    # The sandbox ends at once: what it has done since the last sample is not lost.
    paddock.cli("stop", "alice")
    machine.wait_for(lambda: not paddock.sandbox("alice"), 20, "the sandbox has ended")
    machine.wait_for(lambda: paddock.usage("alice")["net_in_bytes"] - before["net_in_bytes"] >= PAYLOAD, 10,
                     "the bytes are counted")
    after, wire = paddock.usage("alice"), [now - then for now, then in zip(counted(), wire)]
    for key, sent in zip(("net_in_bytes", "net_out_bytes"), wire):
        difference = after[key] - before[key]
        assert difference > PAYLOAD
        assert abs(difference - sent) < 0.02 * sent, (key, difference, sent)
    assert paddock.usage("bob")["net_in_bytes"] == 0


@in_the_vm_one_is_enough
def test_new_connections_are_limited(networked):
    def connected(tenant, wanted):
        """How many of 30 connections stand once `wanted` do, and how many seconds after the first was tried."""
        return networked.sites[tenant].run(f"""
            $start = microtime(true);
            for ($i = 0; $i < 30; ++$i)
                $sockets[] = stream_socket_client('tcp://{WORLD}:8080', $no, $text, 1,
                                                  STREAM_CLIENT_CONNECT | STREAM_CLIENT_ASYNC_CONNECT);
            do {{
                usleep(10000);
                $write = $sockets; $none = null;
                stream_select($none, $write, $none, 0);
            }} while (count($write) < {wanted} && microtime(true) - $start < {machine.patience(20)});
            return [count($write), microtime(true) - $start];""", seconds=60)
    assert connected("alice", 30)[0] == 30
    # Three at once and three a second; TCP comes back later with the others.
    count, seconds = connected("emil", 3)
    assert 3 <= count <= 4 + 3 * seconds
    assert count < 30 or seconds > 8


@in_the_vm_one_is_enough
def test_the_rules_come_back_and_change(networked):
    paddock, host = networked.paddock, networked.around.host
    assert networked.connect("alice", WORLD, 25) == REFUSED
    keeper = paddock.keeper("alice")
    # As the host's firewall does when it is loaded again.
    host.run("nft", "flush", "ruleset")
    machine.wait_for(lambda: "table inet paddock" in host.run("nft", "list", "tables"), 20, "the table is back")
    assert networked.connect("alice", WORLD, 25) == REFUSED
    assert networked.connect("alice", WORLD, 80) == "the world"
    # A range of the host's own is refused with its place, and changes nothing.
    good = paddock.config.read_text()
    paddock.config.write_text(good.replace(network.RANGE, "198.51.0.0/16"))
    done = paddock.cli("check", check=False)
    line = 1 + good[:good.index(network.RANGE)].count("\n")
    assert done.returncode == 2
    assert f"{paddock.config}:{line}:1: error: network.range: the tenants' range 198.51.0.0/16 collides" in done.stdout
    assert paddock.cli("reload", check=False).returncode != 0
    assert networked.connect("alice", WORLD, 80) == "the world"
    # What a plan lets through changes under a running sandbox.
    paddock.config.write_text(good.replace("[plan.nat]\n", "[plan.nat]\nnetwork_closed_ports = [80]\n"))
    paddock.cli("reload")
    assert networked.connect("alice", WORLD, 80) == REFUSED
    assert networked.connect("alice", WORLD, 25) == "220 mail"
    assert paddock.keeper("alice") == keeper


@in_the_vm_one_is_enough
def test_a_dead_supervisor_leaves_its_sandboxes_connected(networked):
    paddock, host = networked.paddock, networked.around.host
    address = networked.address("alice")
    networked.address("bob")
    assert {"paddock-2", "paddock-3"} <= set(host.interfaces())
    assert sorted(link.get("ifalias", "") for name, link in host.interfaces().items() if name.startswith("paddock-")) == [
        "alice", "bob"]
    results = []
    code = f"for ($i = 0; $i < 3000; ++$i) {{ usleep(10000); clearstatcache(); if (is_file('go')) break; }} {CONNECT.format(WORLD, 80, 5)}"
    request = threading.Thread(target=lambda: results.append(networked.sites["alice"].run(code, seconds=60)))
    request.start()
    machine.wait_for(lambda: paddock.tenant_status("alice")["busy"], 10, "a request runs")
    paddock.kill()
    paddock.start()
    # Its request still has the world, under the rules of the new one.
    (paddock.tenants["alice"].docroot / "go").touch()
    request.join()
    assert results == ["the world"]
    machine.wait_for(lambda: not paddock.sandbox(), 20, "what was left has ended")
    # An address stays the tenant's.
    machine.wait_for(lambda: networked.address("alice") == address, 20, "alice is served again")


@in_the_vm_one_is_enough
def test_nothing_is_left(networked):
    paddock, host = networked.paddock, networked.around.host
    networked.address("alice")
    assert [name for name in host.interfaces() if name.startswith("paddock-")] == ["paddock-2"]
    paddock.cli("stop", "alice")
    machine.wait_for(lambda: not [name for name in host.interfaces() if name.startswith("paddock-")], 20,
                     "the interface goes with the sandbox")
    # A second one would have the same rules and addresses.
    assert "table inet paddock" in host.run("nft", "list", "tables")
    assert "@paddock-network" in host.run("cat", "/proc/net/unix")
    assert paddock.stop() == 0
    assert host.run("nft", "list", "tables") == ""


@in_the_vm_one_is_enough
def test_doctor_knows_whether_the_kernel_can(networked):
    findings = json.loads(networked.paddock.cli("doctor", "--json", check=False).stdout)["findings"]
    (found,) = [each for each in findings if each["subject"] == "tenants' networks"]
    assert found["severity"] == "ok", found


@in_the_vm_one_is_enough
def test_what_the_kernel_lacks_is_told():
    tried = subprocess.run(["unshare", "--user", "--map-root-user", "sh", "-c",
                            'echo 0 >/proc/sys/user/max_net_namespaces && exec "$1" --probe-network', "sh",
                            machine.BIN / "paddockd"], capture_output=True, text=True, timeout=60)
    assert (tried.returncode, tried.stderr) == (1, "make a network namespace: No space left on device\n")

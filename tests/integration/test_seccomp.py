"""Every process of a sandbox is under its plan's filter; what the admin writes about it is checked."""

import json

import pytest

from harness import machine, process

GRANT = '\n[[plan.default.grant]]\nname = "seccomp"\nreason = "a test"\n'


def test_keeper_and_workers_are_filtered(host):
    host.alice.get("/hello.php").ok()
    for pid in host.paddock.sandbox("alice"):
        assert process.status(pid)["Seccomp"] == "2", process.title(pid)
        assert process.status(pid)["NoNewPrivs"] == "1"


def test_other_programs_inherit_the_filter(host):
    assert host.alice.run("return trim(shell_exec('grep Seccomp: /proc/self/status'));").split() == ["Seccomp:", "2"]


def test_strict_starts_no_programs(make_paddock, make_apache):
    paddock = make_paddock(plan={"seccomp": "strict"})
    paddock.add_tenant("alice")
    site = make_apache(paddock.start()).sites["alice"]
    assert site.run("return [shell_exec('id'), strlen(random_bytes(9))];") == [False, 9]


def test_a_network_of_its_own(make_paddock, make_apache):
    paddock = make_paddock(plan={"network": "none"})
    paddock.add_tenant("alice")
    apache = make_apache(paddock.start())
    found = apache.sites["alice"].run(f"""
        return [array_keys(net_get_interfaces()), @fsockopen('127.0.0.1', {apache.sites['alice'].port}, $no) !== false,
                $no];""")
    assert found == [["lo"], False, 111]  # ECONNREFUSED: nobody listens on its own loopback


def test_a_profile_of_the_admins_own_and_its_mistakes(make_paddock, make_apache):
    paddock = make_paddock(plan={"seccomp": "own"})
    profiles = paddock.directory / "profiles"
    profiles.mkdir()
    paddock.runtime["seccomp_dir"] = str(profiles)
    profile = profiles / "own.toml"
    profile.write_text('inherits = "default"\n[[refuse]]\ngroup = "names"\nreason = "a test"\nsyscalls = ["uname"]\n')
    paddock.add_tenant("alice")
    site = make_apache(paddock.start()).sites["alice"]
    assert site.run("return shell_exec('uname -n 2>/dev/null');") is None
    keeper = paddock.keeper("alice")

    # A mistake is told with file and line, and the running tenant keeps what it had.
    profile.write_text('inherits = "default"\n[[refuse]]\ngroup = "g"\nreason = "r"\nsyscalls = ["unmae"]\n')
    done = paddock.cli("check", check=False)
    assert done.returncode == 2
    assert f'{profile}:5:13: error: refuse.syscalls: there is no system call "unmae"; did you mean "uname"?' in done.stdout
    assert paddock.cli("reload", check=False).returncode != 0
    assert paddock.keeper("alice") == keeper
    assert site.run("return shell_exec('uname -n 2>/dev/null');") is None

    # What allows more than the default does wants a grant.
    profile.write_text('inherits = "default"\n[[allow]]\ngroup = "g"\nreason = "r"\nsyscalls = ["ptrace"]\n')
    done = paddock.cli("check", check=False)
    assert done.returncode == 2 and 'allows what "default" does not (ptrace)' in done.stdout
    paddock.config.write_text(paddock.config.read_text() + GRANT)
    assert paddock.cli("check").returncode == 0
    doctor = json.loads(paddock.cli("doctor", "--json", check=False).stdout)
    assert [found["message"] for found in doctor["findings"] if found["subject"] == "grant"][0].startswith(
        "plan default has seccomp: a test (")
    paddock.cli("reload")
    assert paddock.tenant_status("alice")["grants"] == [{"name": "seccomp", "reason": "a test"}]
    assert "granted:" in paddock.cli("status", "alice").stdout
    machine.wait_for(lambda: paddock.keeper("alice") != keeper, 20, "the sandbox with the old filter has gone")
    assert site.run("return trim(shell_exec('uname -s'));") == "Linux"
    assert json.loads(paddock.cli("policy", "explain", "own", "ptrace", "--json").stdout)["calls"][0]["answer"] == "allowed"


def test_explain(make_paddock):
    paddock = make_paddock()
    paddock.write_config()
    text = paddock.cli("policy", "explain", "default").stdout
    assert "bpf" in text and "refused with EPERM" in text
    one = paddock.cli("policy", "explain", "default", "bpf").stdout
    assert one.startswith("bpf: refused with EPERM\n  parts of the kernel with a record of faults: ")
    assert paddock.cli("policy", "explain", "strict", "59").stdout.startswith("execve: refused with EPERM")
    assert paddock.cli("policy", "explain", "defualt", check=False).returncode == 2
    assert paddock.cli("policy", "explain", "default", "opnat", check=False).returncode == 2


@pytest.mark.no_vm  # which boots with audit=0: there the kernel logs nothing
def test_learning(make_paddock, make_apache):
    """A call that the profile does not know runs, and the kernel's log says so; what is dangerous stays refused."""
    learning = {"seccomp_learning": True}
    paddock = make_paddock(plan=learning)
    paddock.add_tenant("alice")
    paddock.write_config()
    assert "system calls that the profile does not know would run" in paddock.cli("check", check=False).stdout
    paddock.config.write_text(paddock.config.read_text() + GRANT.replace('"seccomp"', '"seccomp-learning"'))
    site = make_apache(paddock.start()).sites["alice"]
    # mlockall(2) with a flag that the kernel does not know: EINVAL, not ENOSYS. bpf(2): EPERM.
    text = site.run("""return shell_exec("python3 -c '
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for number in 151, 321:
    libc.syscall(number, 64, 0, 0)
    print(errno.errorcode[ctypes.get_errno()])' 2>&1");""")
    assert text.split() == ["EINVAL", "EPERM"]
    calls = json.loads(paddock.cli("policy", "learned", "alice", "--json").stdout)["calls"]
    assert "mlockall" in {one["call"] for one in calls}
    assert "bpf" not in {one["call"] for one in calls}

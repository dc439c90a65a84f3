"""What a plan shows its sandboxes of the host beside the home."""

import shutil
import socket
import threading

import pytest

from harness import machine

pytestmark = pytest.mark.sanitizer


@pytest.fixture
def bound(make_paddock, make_apache):
    """Paddock with binds in its plan, and alice's site."""
    paddock = make_paddock()
    tools = paddock.directory / "tools"
    tools.mkdir(mode=0o755)
    shutil.copy("/bin/true", tools / "true")
    (paddock.directory / "db").mkdir(mode=0o755)
    paddock.plans["default"]["bind"] = [
        {"source": str(tools), "target": "/opt/tools"},
        {"source": str(tools), "target": "/opt/data", "noexec": True},
        {"source": str(tools / "true"), "target": "/bin/false"},
        {"source": str(paddock.directory / "db"), "target": "/run/mysqld"},
        {"source": str(paddock.directory / "later"), "target": "/opt/later", "optional": True}]
    paddock.add_tenant("alice")
    paddock.start()
    return paddock, make_apache(paddock).sites["alice"]


def test_binds_are_shown_as_the_plan_says(bound):
    _, site = bound
    found = site.run("""
        $found = [];
        foreach (['tools', 'data'] as $name) {
            exec("/opt/$name/true 2>&1", $said, $status);
            $found[$name] = [$status, @file_put_contents("/opt/$name/new", 'x')];
        }
        foreach (file('/proc/self/mountinfo') as $line) {
            $fields = explode(' ', $line);
            if ($fields[4] === '/opt/data') $found['flags'] = explode(',', $fields[5]);
        }
        return $found;""")
    assert found["tools"] == [0, False]
    assert found["data"] == [126, False]
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(found["flags"])


def test_a_target_may_lie_behind_a_link_of_the_view(bound):
    """/bin is one."""
    _, site = bound
    assert site.run("exec('/usr/bin/false', $said, $status); return $status;") == 0


@pytest.mark.any_kernel
def test_what_may_be_missing_is_shown_once_it_is_there(bound):
    paddock, site = bound
    assert site.run("return file_exists('/opt/later');") is False
    later = paddock.directory / "later"
    later.mkdir(mode=0o755)
    (later / "file").write_text("here")
    paddock.cli("stop", "alice")
    machine.wait_for(lambda: not paddock.sandbox("alice"), 20, "the sandbox has ended")
    assert site.run("return file_get_contents('/opt/later/file');") == "here"


@pytest.mark.any_kernel
def test_a_database_is_reached_by_its_socket_and_may_start_later(bound):
    paddock, site = bound
    path = paddock.directory / "db" / "mysqld.sock"
    ask = "return @stream_get_contents(stream_socket_client('unix:///run/mysqld/mysqld.sock', $code, $text, 10)) ?: $text;"
    assert "No such file" in site.run(f"return @stream_socket_client('unix:///run/mysqld/mysqld.sock', $code, $text) ?: $text;")
    for greeting in (b"the first", b"started anew"):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            path.chmod(0o666)
            server.listen()
            server.settimeout(machine.patience(20))

            def greet():
                with server.accept()[0] as connection:
                    connection.sendall(greeting)

            thread = threading.Thread(target=greet)
            thread.start()
            assert site.run(ask) == greeting.decode()
            thread.join()
        path.unlink()


@pytest.mark.any_kernel
def test_a_bind_of_a_missing_path_is_refused(bound):
    paddock, site = bound
    assert site.run("return 1;") == 1
    binds = paddock.plans["default"]["bind"]
    binds.append({"source": str(paddock.directory / "gone"), "target": "/opt/gone"})
    paddock.write_config()
    line = paddock.config.read_text().splitlines().index(f'source = "{paddock.directory}/gone"') + 1
    checked = paddock.cli("check", check=False)
    assert checked.returncode == 2
    assert f"{paddock.config}:{line}:" in checked.stdout + checked.stderr
    assert "there is no" in checked.stdout + checked.stderr
    assert paddock.cli("reload", check=False).returncode != 0
    assert site.run("return file_exists('/opt/tools/true');") is True
    # A tenant's own keeps that tenant from starting, and no other.
    binds.pop()
    paddock.tenants["alice"].options["bind"] = [{"source": str(paddock.directory / "gone"), "target": "/opt/gone"}]
    paddock.write_config()
    checked = paddock.cli("check", check=False)
    assert checked.returncode == 1
    assert "this tenant is left out" in checked.stdout + checked.stderr


def test_as_many_as_a_plan_may_have(make_paddock, make_apache):
    paddock = make_paddock()
    places = [paddock.directory / f"place-{number}" for number in range(64)]
    for place in places:
        place.mkdir(mode=0o755)
    paddock.plans["default"]["bind"] = [{"source": str(place), "target": f"/opt/{place.name}"} for place in places]
    paddock.with_mail(["/bin/true"])
    paddock.add_tenant("alice")
    paddock.start()
    site = make_apache(paddock).sites["alice"]
    assert site.run("return count(glob('/opt/place-*'));") == len(places)

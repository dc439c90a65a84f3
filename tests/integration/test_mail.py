"""mail(): from a sandbox, by the mail broker, to the host's MTA, as the tenant; and what is refused on the way."""

import json
import signal
import socket
import threading

import pytest

from harness import machine, process
from harness.mailbox import Mailbox

PLAN = {"mail_per_hour": 20, "mail_size": "64K", "mail_recipients": 4, "workers": 6}


@pytest.fixture
def mailing(make_paddock, make_apache):
    """mailing(plan) → (paddock, sites, mailbox)."""
    def make(**plan):
        paddock = make_paddock(plan={**PLAN, **plan})
        mailbox = Mailbox(paddock.directory)
        paddock.with_mail([mailbox.program, "-i"])
        for name in ("alice", "bob"):
            paddock.add_tenant(name)
        apache = make_apache(paddock.start())
        return paddock, apache.sites, mailbox
    return make


def broker_pid(paddock):
    return json.loads(paddock.cli("status", "--json").stdout)["host"]["mail_pid"]


def counted(paddock, tenant):
    """(sent, refused) of the books."""
    found = paddock.usage(tenant)
    return found["mails"], found["mails_refused"]


def sendmail(site, arguments, message, times=1):
    """Runs the view's sendmail from PHP, and returns [exit status, what it said]."""
    return site.run(f"""
        $process = proc_open(array_merge(['/run/paddock/sendmail'], json_decode({json.dumps(json.dumps(arguments))})),
                             [['pipe', 'r'], ['file', '/dev/null', 'w'], ['pipe', 'w']], $pipes);
        for ($i = 0; $i < {times}; ++$i) if (@fwrite($pipes[0], {message}) === false) break;
        fclose($pipes[0]);
        $said = stream_get_contents($pipes[2]);
        return [proc_close($process), $said];""")


def test_mail_is_sent_as_the_tenant(mailing):
    paddock, sites, mailbox = mailing()
    sent = sites["alice"].run("""
        return mail('Someone <a@example.org>', 'Subject', "a line\\n.\\nanother", "Bcc: hidden@example.org\\r\\nX-Paddock-Tenant: bob",
                    '-fshop@alice.example');""")
    assert sent is True
    ((told, message),) = mailbox.messages()
    account = paddock.tenants["alice"].account
    assert told[0] == str(account.pw_uid)
    assert told[2:] == [account.pw_name, "-i", "-f", "shop@alice.example", "--", "a@example.org", "hidden@example.org"]
    header, _, body = message.partition("\n\n")
    assert header.splitlines()[0] == "X-Paddock-Tenant: alice"
    assert f"X-PHP-Originating-Script: {account.pw_uid}:run.php" in header
    assert "bob" not in header and "hidden" not in header
    assert body.strip().splitlines() == ["a line", ".", "another"]
    status = paddock.tenant_status("alice")
    assert (status["mails"], status["mails_refused"], status["mails_last_hour"]) == (1, 0, 2)
    assert "mails:" in paddock.cli("status", "alice").stdout
    assert counted(paddock, "alice") == (1, 0)
    assert "1 sent, 0 refused" in paddock.cli("usage", "alice").stdout
    # Where the host has a sendmail, programs that call it by that name find ours.
    found = sites["alice"].run("""return [file_exists('/usr/sbin/sendmail'),
        @hash_file('md5', '/usr/sbin/sendmail') === hash_file('md5', '/run/paddock/sendmail')];""")
    assert found in ([False, False], [True, True])


class SmtpServer:
    """Takes one message after the other, and keeps the envelope and the text of each."""

    def __init__(self):
        self.messages = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while True:
            connection, _ = self.listener.accept()
            connection.settimeout(machine.patience(20))
            with connection, connection.makefile("rwb", buffering=0) as lines:
                if not self._converse(lines):
                    return

    def _converse(self, lines):
        lines.write(b"220 test\r\n")
        sender, recipients = None, []
        for line in lines:
            verb = line[:4].upper()
            if verb == b"STOP":
                return False
            if verb == b"MAIL":
                sender = line.split(b"<")[1].split(b">")[0].decode()
            elif verb == b"RCPT":
                recipients.append(line.split(b"<")[1].split(b">")[0].decode())
            elif verb == b"DATA":
                lines.write(b"354 go on\r\n")
                text = b"".join(iter(lines.readline, b".\r\n"))
                self.messages.append((sender, recipients, text.decode()))
            lines.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
            if verb == b"QUIT":
                break
        return True

    def close(self):
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"STOP\r\n")
            self.thread.join()
        self.listener.close()


@pytest.fixture
def smtp_server():
    server = SmtpServer()
    yield server
    server.close()


def test_a_real_mta_takes_it_to_the_world(make_paddock, make_apache, smtp_server):
    paddock = make_paddock(plan=PLAN)
    config = paddock.directory / "msmtprc"
    config.write_text(f"defaults\nauth off\ntls off\naccount default\nhost 127.0.0.1\nport {smtp_server.port}\n"
                      "from %U@host.example\nallow_from_override on\nset_from_header off\n")
    config.chmod(0o644)
    paddock.with_mail(["/usr/bin/msmtp", "-C", config])
    tenant = paddock.add_tenant("alice")
    site = make_apache(paddock.start()).sites["alice"]
    assert site.run("""return mail('a@example.org, b@example.org', 'Ä subject', "one\n.two\n", 'From: shop@alice.example');""") is True
    assert site.run("return mail('c@example.org', 's', 'm', '', '-fbounce@alice.example');") is True
    (first, second) = smtp_server.messages
    account = tenant.account.pw_name
    assert first[:2] == (f"{account}@host.example", ["a@example.org", "b@example.org"])
    assert "X-Paddock-Tenant: alice\r\n" in first[2] and "\r\none\r\n..two\r\n" in first[2]
    assert "\r\nFrom: shop@alice.example\r\n" in first[2]
    assert second[:2] == ("bounce@alice.example", ["c@example.org"])
    # Nobody listens where the MTA delivers to: mail() says so.
    config.write_text(config.read_text().replace(f"port {smtp_server.port}", "port 1"))
    assert site.run("return mail('a@example.org', 's', 'm');") is False


def test_past_the_hours_limit_mail_returns_false(mailing):
    paddock, sites, mailbox = mailing(mail_per_hour=5)
    results = sites["alice"].run("""
        $sent = [];
        for ($i = 0; $i < 8; ++$i) $sent[] = mail("a$i@example.org", 's', 'm');
        return $sent;""")
    assert results == [True] * 5 + [False] * 3
    assert len(mailbox.messages()) == 5
    machine.wait_for(lambda: "the limit of 5 recipients an hour" in paddock.tenant_log("alice"), 10,
                     "the tenant's log says why")
    events = [json.loads(line) for line in paddock.cli("events", "alice", "--json").stdout.splitlines()]
    (event,) = [event for event in events if event["kind"] == "mail-refused"]
    assert "mail_per_hour" in event["text"]
    assert paddock.tenant_status("alice")["mails_refused"] == 3
    # The count outlives the sandbox, and is nobody else's.
    paddock.cli("stop", "alice")
    machine.wait_for(lambda: not paddock.sandbox("alice"), 20, "the sandbox has ended")
    assert sites["alice"].run("return mail('a@example.org', 's', 'm');") is False
    assert sites["bob"].run("return mail('a@example.org', 's', 'm');") is True
    # A higher limit holds at once.
    paddock.plans["default"]["mail_per_hour"] = 6
    paddock.write_config()
    paddock.cli("reload")
    assert sites["alice"].run("return [mail('a@x', 's', 'm'), mail('a@x', 's', 'm')];") == [True, False]


def test_what_an_mta_could_misunderstand_never_reaches_it(mailing):
    paddock, sites, mailbox = mailing()
    good = r'"To: a@example.org\n\nx"'
    for arguments in (["-bs"], ["-bd"], ["-bp"], ["-bi"], ["-C", "/etc/passwd", "-t"], ["-C/etc/passwd", "-t"], ["-q"],
                      ["-X/tmp/log", "-t"], ["-t", "-oQ", "-be"], ["-t", "-f", "-C/etc/passwd"], ["-t", "-f", "a b@c"],
                      ["-t", "--", "-C/etc/passwd"], ["|/bin/sh"], ["/etc/passwd"], [":include:/etc/passwd"],
                      ["a@example.org\nb@example.org"], ["-t"] + ["x@example.org" + "y" * 300]):
        status, said = sendmail(sites["alice"], arguments, good)
        assert status == 64 and "not sent" in said, (arguments, status, said)
    for message in (r'"To: a@example.org\n\nx\0y"', r'"To: a\0@example.org\n\nx"', r'"To: a@example.org\rBcc: b@example.org\n\nx"',
                    r'"To: |/bin/sh\n\nx"', r'"To: \"a b\"@example.org\n\nx"', r'"To: <a@example.org\n\nx"', r'"\n\nx"', '""',
                    r'str_repeat("X: y", 100000)'):
        status, said = sendmail(sites["alice"], ["-t"], message)
        assert status in (65, 69) and "not sent" in said, (message, status, said)
    status, said = sendmail(sites["alice"], ["-t"], r'"To: a@x,b@x,c@x,d@x,e@x\n\nx"')
    assert status == 69 and "recipients" in said
    # A hundred megabytes end where the plan's size does.
    status, said = sendmail(sites["alice"], ["-t"], r'"To: a@example.org\n\n" . str_repeat("x", 1 << 20)', times=100)
    assert status == 69 and "longer than" in said
    assert not mailbox.messages()
    assert sendmail(sites["alice"], ["-t", "-i"], good) == [0, ""]
    ((told, message),) = mailbox.messages()
    assert told[3:] == ["-i", "--", "a@example.org"]


def test_the_envelopes_sender_can_be_the_account_alone(mailing):
    paddock, sites, mailbox = mailing(mail_sender="account")
    assert sites["alice"].run("return mail('a@example.org', 's', 'm', '', '-fboss@bank.example');") is True
    ((told, _),) = mailbox.messages()
    assert "-f" not in told


def test_an_mta_that_refuses_or_is_not_there(mailing):
    paddock, sites, mailbox = mailing()
    mailbox.refuse()
    assert sites["alice"].run("return mail('a@example.org', 's', 'm');") is False
    mailbox.refuse(False)
    mailbox.program.rename(mailbox.program.with_suffix(".away"))
    assert sites["alice"].run("return mail('a@example.org', 's', 'm');") is False
    mailbox.program.with_suffix(".away").rename(mailbox.program)
    assert sites["alice"].run("return mail('a@example.org', 's', 'm');") is True
    # What was not sent does not count.
    assert paddock.tenant_status("alice")["mails_last_hour"] == 1


def test_the_broker_is_started_again(mailing):
    paddock, sites, mailbox = mailing()
    assert sites["alice"].run("return mail('a@example.org', 's', 'm');") is True
    broker = broker_pid(paddock)
    status = process.status(broker)
    assert status["CapEff"] == status["CapPrm"] == "0000000000000000" and status["NoNewPrivs"] == "1"
    process.kill(broker, signal.SIGKILL)
    machine.wait_for(lambda: broker_pid(paddock) not in (0, broker), 20, "another broker runs")
    machine.wait_for(lambda: sites["alice"].run("return mail('a@example.org', 's', 'm');"), 20, "and takes mail")


def test_one_who_floods_the_broker_stands_in_nobodys_way(mailing):
    """Forty connections, which stall, from one tenant, where the broker takes eight; another's mail goes on meanwhile."""
    paddock, sites, mailbox = mailing()
    sites["alice"].get("/hello.php").ok()
    (paddock.tenants["alice"].docroot / "flood.php").write_text("""<?php
        set_time_limit(0);
        $children = [];
        for ($i = 0; $i < 40; ++$i) {
          // Each says nothing, and waits for an answer.
          $child = proc_open(['/run/paddock/sendmail', '-t'], [['pipe', 'r'], ['file', '/dev/null', 'w'],
                             ['file', '/dev/null', 'w']], $pipes);
          if ($child !== false) $children[] = [$child, $pipes];
        }
        touch(__DIR__ . '/flooding');
        while (!file_exists(__DIR__ . '/enough')) { clearstatcache(); usleep(20000); }
        foreach ($children as [$child, $pipes]) proc_terminate($child, 9);
        echo count($children);""")
    flood = paddock.tenants["alice"].docroot / "flood.php"
    flood.chmod(0o644)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(sites["alice"].get("/flood.php", seconds=120)))
    thread.start()
    try:
        machine.wait_for((paddock.tenants["alice"].docroot / "flooding").exists, 60, "the flood has come")
        for _ in range(3):
            assert sites["bob"].run("return mail('a@example.org', 's', 'm');") is True
    finally:
        (paddock.tenants["alice"].docroot / "enough").touch()
        thread.join()
    assert answers[0].ok().text == "40"
    assert sites["alice"].run("return mail('a@example.org', 's', 'm');") is True


def test_the_socket_is_one_sandboxs_alone(mailing):
    paddock, sites, mailbox = mailing()
    sites["alice"].get("/hello.php").ok()
    sites["bob"].get("/hello.php").ok()
    sockets = paddock.directory / "run/mail"
    assert sorted(path.name for path in sockets.iterdir()) == ["alice.sock", "bob.sock"]
    account = paddock.tenants["bob"].account
    # Neither another account on the host nor another sandbox gets to it.
    assert "PermissionError" in process.as_user(account, lambda: str((sockets / "alice.sock").stat()))
    assert sites["bob"].run("return scandir('/run/paddock');") == [".", "..", "mail", "sendmail"]
    paddock.cli("stop", "alice")
    machine.wait_for(lambda: not (sockets / "alice.sock").exists(), 20, "the socket goes with the sandbox")

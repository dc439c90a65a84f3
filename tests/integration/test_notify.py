"""[notify]: events by command, webhook and mail."""

import http.server
import json
import socketserver
import threading

import pytest

from harness import machine


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.heard.append((self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Mail(socketserver.StreamRequestHandler):
    """As much SMTP as a mail needs."""

    def handle(self):
        def say(line):
            self.wfile.write(line + b"\r\n")
        say(b"220 test")
        envelope = []
        while line := self.rfile.readline():
            envelope.append(line.decode().strip())
            word = line[:4].upper()
            if word == b"DATA":
                say(b"354 go on")
                text = b""
                while (more := self.rfile.readline()) not in (b".\r\n", b""):
                    text += more
                self.server.heard.append((envelope, text.decode()))
            say(b"221 bye" if word == b"QUIT" else b"250 ok")
            if word == b"QUIT":
                return


@pytest.fixture
def listening():
    servers = []

    def listen(kind, handler):
        server = kind(("127.0.0.1", 0), handler)
        server.heard = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        servers.append((server, thread))
        return server, server.server_address[1]
    yield listen
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_events_are_told_by_command_webhook_and_mail(make_paddock, listening):
    hook, hook_port = listening(http.server.HTTPServer, Hook)
    mail, mail_port = listening(socketserver.TCPServer, Mail)
    paddock = make_paddock(runtime={"notify_user": "daemon"})
    paddock.add_tenant("alice")
    notices = paddock.directory / "notices"
    notices.touch()
    notices.chmod(0o666)
    paddock.write_config()
    paddock.config.write_text(paddock.config.read_text() + f"""
[notify]
events = ["kill", "block"]
command = ["/bin/sh", "-c", "cat >> {notices}; echo \\"$PADDOCK_EVENT $PADDOCK_TENANT $(id -un)\\" >> {notices}"]
webhook = "http://127.0.0.1:{hook_port}/hook"
mail = "root@example.org"
mail_server = "smtp://127.0.0.1:{mail_port}"
every = "1h"
""")
    paddock.start()
    paddock.cli("start", "alice")
    machine.wait_for(lambda: paddock.keeper("alice"), 20, "a sandbox of alice")
    for _ in range(5):
        paddock.cli("kill", "alice")  # the first is told, the others are too soon after it
    paddock.cli("block", "alice", "--reason", "\x1b[31mnoise\nBcc: all@example.org")

    lines = machine.wait_for(lambda: len(found := notices.read_text().splitlines()) == 4 and found, 30,
                             "two notices by the command")
    assert {"kill alice daemon", "block alice daemon"} == {line for line in lines if not line.startswith("{")}
    told = {event["kind"]: event for event in map(json.loads, (line for line in lines if line.startswith("{")))}
    assert told["kill"]["tenant"] == "alice" and told["kill"]["untold"] == 0
    assert told["kill"]["figures"]["process_count"] >= 1  # what it held when it was killed
    assert told["block"]["text"] == "\x1b[31mnoise\nBcc: all@example.org"

    posted = machine.wait_for(lambda: len(hook.heard) == 2 and hook.heard, 30, "two posts")
    assert {json.loads(body)["kind"] for _, body in posted} == {"kill", "block"}
    assert {kind for kind, _ in posted} == {"application/json"}

    mails = machine.wait_for(lambda: len(mail.heard) == 2 and mail.heard, 30, "two mails")
    for envelope, text in mails:
        assert "RCPT TO:<root@example.org>" in envelope and "MAIL FROM:<>" in [line[:12] for line in envelope]
        head, _, body = text.partition("\r\n\r\n")
        assert sorted(line.partition(":")[0] for line in head.split("\r\n")) == [
            "Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "From", "MIME-Version", "Subject", "To"]
        assert "\x1b" not in body and "\nBcc:" not in body


def test_what_cannot_be_told_holds_nothing_up(make_paddock):
    paddock = make_paddock(runtime={"notify_user": "daemon"})
    paddock.add_tenant("alice")
    paddock.write_config()
    paddock.config.write_text(paddock.config.read_text() + """
[notify]
events = ["kill"]
webhook = "http://127.0.0.1:1/"
every = "0s"
""")
    paddock.start()
    paddock.cli("start", "alice")
    machine.wait_for(lambda: paddock.keeper("alice"), 20, "a sandbox of alice")
    for _ in range(3):
        paddock.cli("kill", "alice")
    machine.wait_for(lambda: paddock.log().count("event kill") >= 3, 30, "the log says that nobody was told")
    assert paddock.tenant_status("alice")["state"] == "stopped"

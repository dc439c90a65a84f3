"""Speaks to paddock-dashboard as a browser's scripts or Prometheus do."""

import contextlib
import http.client
import json

from . import machine


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    def json(self):
        return json.loads(self.body)


class Dashboard:
    def __init__(self, paddock):
        self.paddock = paddock
        self.address = paddock.dashboard["listen"]
        self.cookie = None
        self.csrf = None

    def url(self, path="/"):
        return f"http://{self.address}{path}"

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.address, timeout=machine.patience(20))
        try:
            sent = {"Cookie": self.cookie} if self.cookie else {}
            if method == "POST":
                sent["Content-Type"] = "application/json"
                if self.csrf:
                    sent["X-Paddock-CSRF"] = self.csrf
            data = json.dumps(body) if isinstance(body, dict) else body
            connection.request(method, path, data, {**sent, **(headers or {})})
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})

    def post(self, path, body=None, **headers):
        return self.request("POST", path, {} if body is None else body,
                            {key.replace("_", "-"): value for key, value in headers.items()})

    def wait(self):
        """Until it answers, logged in or not."""
        def answers():
            try:
                return self.get("/").status == 200
            except OSError:
                return False
        machine.wait_for(answers, 20, "the dashboard answers")
        return self

    def token(self, role="admin"):
        """A new one; the one before is void."""
        return self.paddock.cli("token", role).stdout.strip()

    def log_in(self, token=None):
        answer = self.post("/api/login", {"token": token or self.token()})
        assert answer.status == 200, answer.body
        self.cookie = answer.headers["Set-Cookie"].split(";")[0]
        self.csrf = answer.json()["csrf"]
        return self

    @contextlib.contextmanager
    def live(self):
        """An open page: the answer whose lines are the events that it is sent."""
        connection = http.client.HTTPConnection(self.address, timeout=machine.patience(30))
        try:
            connection.request("GET", "/api/live", headers={"Cookie": self.cookie})
            yield connection.getresponse()
        finally:
            connection.close()

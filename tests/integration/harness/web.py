"""A browser of sorts on http.client: one connection a request, unless a test asks otherwise."""

import dataclasses
import http.client
import http.cookies
import json
import time

from . import machine


@dataclasses.dataclass
class Response:
    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float
    path: str = "/"  # that was asked for
    before: list = dataclasses.field(default_factory=list)  # the redirects that browse() followed to get here

    @property
    def text(self):
        return self.body.decode("utf-8", errors="replace")

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise AssertionError(f"not JSON: status {self.status}: {self.text[:2000]}") from None

    def ok(self):
        assert self.status == 200, f"status {self.status}: {self.text[:2000]}"
        return self


class Site:
    """A tenant's site behind Apache."""

    def __init__(self, port, host="127.0.0.1"):
        self.host = host
        self.port = port
        self.cookies = {}  # as a browser keeps them; sent by browse() only

    def connect(self, seconds=30):
        return http.client.HTTPConnection(self.host, self.port, timeout=machine.patience(seconds))

    def request(self, method, path, body=None, headers=None, seconds=30):
        start = time.monotonic()
        connection = self.connect(seconds)
        try:
            connection.request(method, path, body=body, headers={"Connection": "close", **(headers or {})})
            answer = connection.getresponse()
            content = answer.read()
            return Response(answer.status, answer.reason, answer.headers, content, time.monotonic() - start, path)
        finally:
            connection.close()

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body, **options):
        return self.request("POST", path, body=body, **options)

    def run(self, code, query="", **options):
        """Has the tenant's PHP execute `code`, the body of a function, and returns what that returns."""
        return self.post("/run.php" + query, code.encode(), **options).ok().json()

    def browse(self, method, path, body=None, headers=None):
        """A request with the cookies so far; redirects are followed as browsers do, by GET."""
        before = []
        for _ in range(10):
            sent = dict(headers or {})
            if self.cookies:
                sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            answer = self.request(method, path, body=body, headers=sent)
            for line in answer.headers.get_all("Set-Cookie", []):
                for name, morsel in http.cookies.SimpleCookie(line).items():
                    if morsel.value in ("", "deleted"):
                        self.cookies.pop(name, None)
                    else:
                        self.cookies[name] = morsel.coded_value
            if answer.status not in (301, 302, 303):
                answer.before = before
                return answer
            before.append(answer)
            location = answer.headers["Location"].partition("#")[0]
            own = f"http://{self.host}:{self.port}"
            path = location[len(own):] if location.startswith(own) else location
            assert path.startswith("/"), f"redirected away from the site: {location}"
            method, body, headers = "GET", None, None
        raise AssertionError("redirected ten times")

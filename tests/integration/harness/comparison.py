"""The same steps taken on several sites: whatever they answer has to be alike."""

import collections
import difflib
import re

# What each server or moment has of its own, in headers: for all applications.
IGNORED_HEADERS = {
    "date",  # the moment
    # Whether Apache knows the length before it begins to send depends on how the answer reaches it (in one piece from
    # mod_php, in FastCGI records otherwise); the bodies themselves are compared.
    "content-length", "transfer-encoding",
}
# The same, in headers and bodies.
_VARYING = [
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d", "MOMENT"),  # expiry of cookies, Last-Modified, dates of feeds
    # The ETag of an uploaded file has its time, and is weak when that is less than a second ago; its size stays.
    (r'(?:W/)?"([0-9a-f]+)-[0-9a-f]{13}"', r'"\1-MTIME"'),
]


class Comparison:
    """Calls a step with each site; compares status, headers and body of what it answers and of the redirects before."""

    def __init__(self, sites, varying=(), known=None, own=lambda site: {}):
        """`sites`: name → Site, the last one Paddock's; `varying`: (regular expression, what it is shown as);
        `known`: name → regular expression of what that server alone has in its answers, as docs/compatibility.md says;
        own(site): strings that a site has of its own, and what they are shown as."""
        self.sites = sites
        self._own = own
        self._known = known or {}
        self.found = set()  # the names whose known differences were there
        self._varying = [(re.compile(expression), shown) for expression, shown in (*_VARYING, *varying)]
        self.compared = 0  # answers

    @property
    def ours(self):
        return list(self.sites.values())[-1]

    def __call__(self, step, *arguments, **options):
        """step(site, …) returns a Response; returns Paddock's."""
        answers = {name: step(site, *arguments, **options) for name, site in self.sites.items()}
        *others, (own_name, own) = answers.items()
        problems = []
        for name, answer in others:
            theirs = [*answer.before, answer]
            ours = [*own.before, own]
            if len(theirs) != len(ours):
                problems.append(f"{name}: the way {self._way(name, theirs)}, ours {self._way(own_name, ours)}")
                continue
            problems += [f"{name}, {one.path}: {problem}" for one, other in zip(theirs, ours)
                         for problem in self._differences(name, one, own_name, other)]
        assert not problems, "\n".join(problems)
        self.compared += len(own.before) + 1
        return own

    def _way(self, name, answers):
        return [(answer.status, self._normal(name, answer.path)) for answer in answers]

    def get(self, path, **options):
        return self(lambda site: site.browse("GET", path, **options))

    def _normal(self, name, text):
        for string, shown in self._own(self.sites[name]).items():
            text = text.replace(string, shown)
        if name in self._known:
            text, often = re.subn(self._known[name], "", text)
            self.found |= {name} if often else set()
        for expression, shown in self._varying:
            text = expression.sub(shown, text)
        return text

    def _headers(self, name, answer, last_cookies):
        """Lines of one name are one list (RFC 9110), which mod_proxy_fcgi sends as one line; cookies are not.

        `last_cookies`: of cookies of one name and path only the last, which is the one that a browser keeps.
        """
        found = collections.Counter()
        for key in {key.lower() for key in answer.headers} - IGNORED_HEADERS:
            values = [self._normal(name, value) for value in answer.headers.get_all(key)]
            if key != "set-cookie":
                values = [", ".join(values)]
            elif last_cookies:
                values = {(value.partition("=")[0], *re.findall("; path=[^;]*", value)): value
                          for value in values}.values()
            found.update((key, value) for value in values)
        return found

    def _body(self, name, answer):
        if answer.headers.get("Content-Type", "").startswith("image/"):
            return answer.body
        return self._normal(name, answer.text)

    def _differences(self, name, theirs, own_name, ours):
        found = []
        if theirs.status != ours.status:
            found.append(f"status {theirs.status}, ours {ours.status}: {theirs.text[:500]}\n--- ours: {ours.text[:500]}")
        # mod_php hands each header on at once: it cannot take back the cookie of a session that
        # session_regenerate_id() replaces within the same request.
        headers, own_headers = (self._headers(*pair, last_cookies=name == "mod_php")
                                for pair in ((name, theirs), (own_name, ours)))
        if headers != own_headers:
            found.append(f"headers {sorted((headers - own_headers).elements())}, "
                         f"ours {sorted((own_headers - headers).elements())}")
        body, own_body = self._body(name, theirs), self._body(own_name, ours)
        if body != own_body:
            if isinstance(body, str) and isinstance(own_body, str):
                # Generated pages have long lines.
                parts = (re.split(r"(?<=[>;,])|\n", text) for text in (body, own_body))
                lines = list(difflib.unified_diff(*parts, name, "ours", lineterm="", n=0))
                found.append("body:\n" + "\n".join(line[:600] for line in lines[:40]))
            else:
                found.append(f"body of {len(body)} bytes, ours {len(own_body)}: {body[:200]!r}, ours {own_body[:200]!r}")
        return found

"""PHP's own tests (*.phpt), as run-tests.php of php-src runs them, on a FastCGI server.

What run-tests.php hands to a php-cgi of its own goes over a socket instead: ini entries as PHP_ADMIN_VALUE, the query,
body, cookies and environment as a web server's variables.
"""

import dataclasses
import pathlib
import re

from . import fastcgi

# run-tests.php's own.
_INI = {
    "output_handler": "", "open_basedir": "", "disable_functions": "", "output_buffering": "Off",
    "error_reporting": "32767", "display_errors": "1", "display_startup_errors": "1", "log_errors": "0",
    "html_errors": "0", "report_memleaks": "1", "docref_root": "", "docref_ext": ".html",
    "error_prepend_string": "", "error_append_string": "", "auto_prepend_file": "", "auto_append_file": "",
    "ignore_repeated_errors": "0", "precision": "14", "serialize_precision": "-1", "memory_limit": "128M",
    "session.auto_start": "0", "zlib.output_compression": "Off",
}
# Sections that mean something only to a program that is started for the test.
_NOT_FOR_SERVERS = {"ARGS", "STDIN", "PHPDBG", "REDIRECTTEST", "CAPTURE_STDIO", "HEADERS", "GZIP_POST",
                    "DEFLATE_POST", "XFAIL", "FLAKY", "FILE_EXTERNAL", "FILEEOF", "EXPECT_EXTERNAL",
                    "EXPECTF_EXTERNAL", "EXPECTREGEX_EXTERNAL"}
_WILDCARDS = {"%e": "/", "%s": r"[^\r\n]+", "%S": r"[^\r\n]*", "%a": r"(?s:.+)", "%A": r"(?s:.*)", "%w": r"\s*",
              "%i": r"[+-]?\d+", "%d": r"\d+", "%x": r"[0-9a-fA-F]+", "%c": ".", "%0": "\\x00",
              "%f": r"[+-]?(?:\d+|(?=\.\d))(?:\.\d+)?(?:[Ee][+-]?\d+)?"}


def _pattern(expected):
    """EXPECTF as a regular expression."""
    parts = []
    for number, piece in enumerate(re.split(r"%r(.*?)%r", expected, flags=re.DOTALL)):
        if number % 2:
            parts.append(f"(?:{piece})")
            continue
        parts += [_WILDCARDS.get(word, re.escape(word)) for word in re.split(r"(%[a-zA-Z0])", piece)]
    return "".join(parts)


def text(data):
    return data.decode("latin-1").replace("\r\n", "\n").strip()


@dataclasses.dataclass
class Verdict:
    passed: bool
    why: str = ""


class Phpt:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.sections = {}
        name = None
        for line in self.path.read_bytes().decode("latin-1").splitlines(keepends=True):
            found = re.match(r"--([A-Z_]+)--", line)
            if found:
                name = found.group(1)
                self.sections[name] = ""
            elif name:
                self.sections[name] += line

    @property
    def script(self):
        return self.path.with_suffix(".php")

    def unfit(self):
        """Why a server cannot run it; empty: it can."""
        if others := _NOT_FOR_SERVERS & set(self.sections):
            return "section " + ", ".join(sorted(others))
        if "FILE" not in self.sections or not {"EXPECT", "EXPECTF", "EXPECTREGEX"} & set(self.sections):
            return "not a whole test"
        if re.search(r"extension\s*=", self.sections.get("INI", "")):
            return "loads an extension"
        return ""

    def expected(self, section):
        """What that section says; None where there is none."""
        return text(self.sections[section].encode("latin-1")) if section in self.sections else None

    def judge(self, output):
        """Whether that is what EXPECT, EXPECTF or EXPECTREGEX expects."""
        if "EXPECT" in self.sections:
            return Verdict(output == self.expected("EXPECT"), output)
        pattern = self.sections.get("EXPECTREGEX", "").strip()
        if "EXPECTF" in self.sections:
            pattern = _pattern(self.expected("EXPECTF"))
        return Verdict(re.fullmatch(pattern, output) is not None, output)

    def _ini(self, section):
        entries = dict(_INI)
        for line in section.splitlines():
            name, equals, value = line.strip().partition("=")
            if equals and not name.startswith(";"):
                value = value.strip().replace("{PWD}", str(self.path.parent)).replace("{TMP}", "/tmp")
                if len(value) > 1 and value[0] == value[-1] == '"':
                    value = value[1:-1]
                entries[name.strip()] = value
        return "\n".join(f"{name}={value}" if re.fullmatch(r"[\w./:-]*", value) else f'{name}="{value}"'
                         for name, value in entries.items())

    def _ask(self, socket, script, seconds, body=b"", **params):
        return fastcgi.fetch(socket, script, seconds=seconds, body=body, **params)

    def run_part(self, socket, part, write, seconds=10):
        """SKIPIF or CLEAN: what it prints."""
        if part not in self.sections:
            return ""
        script = write(self.path.with_suffix(f".{part.lower()}.php"), self.sections[part])
        return text(self._ask(socket, script, seconds, PHP_ADMIN_VALUE=self._ini("")).body)

    def run(self, socket, write, seconds=10):
        """One request; whether its answer is what the test expects."""
        sections = self.sections
        script = write(self.script, sections["FILE"])
        params = {"PHP_ADMIN_VALUE": self._ini(sections.get("INI", "")), "PATH_TRANSLATED": str(script)}
        for line in sections.get("ENV", "").splitlines():
            name, equals, value = line.strip().partition("=")
            if equals:
                params[name] = value
        if "COOKIE" in sections:
            params["HTTP_COOKIE"] = sections["COOKIE"].strip()
        body = b""
        if "POST" in sections:
            body = sections["POST"].strip().encode("latin-1")
            params |= {"method": "POST", "CONTENT_TYPE": "application/x-www-form-urlencoded"}
        for name, method in (("POST_RAW", "POST"), ("PUT", "PUT")):
            if name not in sections:
                continue
            lines = sections[name].strip().split("\n")
            params["method"] = method
            kept = []
            for line in lines:
                found = re.match(r"Content-Type:\s+(.*)", line, re.IGNORECASE)
                if found and "CONTENT_TYPE" not in params:
                    params["CONTENT_TYPE"] = found.group(1).strip("\r")
                else:
                    kept.append(line)
            body = "\n".join(kept).encode("latin-1")
        params.setdefault("CONTENT_TYPE", "")
        answer = self._ask(socket, script, seconds, body=body, query=sections.get("GET", "").strip(), **params)
        if answer.timed_out or answer.ended is None:
            return Verdict(False, "no answer")
        return self._judge(answer)

    def _judge(self, answer):
        head = answer.stdout.partition(b"\r\n\r\n")[0].decode("latin-1").splitlines()
        headers = {}
        for line in head:
            name, _, value = line.partition(":")
            headers.setdefault(name.strip().lower(), value.strip())
        for line in self.sections.get("EXPECTHEADERS", "").splitlines():
            name, colon, value = line.partition(":")
            if colon and headers.get(name.strip().lower()) != value.strip():
                return Verdict(False, f"header {line!r}: {headers.get(name.strip().lower())!r}")
        return self.judge(text(answer.body))

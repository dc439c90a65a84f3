#!/usr/bin/env python3
"""Runs the .cases tables on a private Apache with mod_php and compares what scripts see.

Touches nothing outside a temporary directory; listens on a free port of 127.0.0.1.
Needs: apache2-bin, libapache2-mod-php8.2 (or --module with the path of a libphp*.so).
"""
import argparse
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROBE = "<?php header('Content-Type: application/json'); echo json_encode(ini_get_all(null, false));\n"
MODULES = "/usr/lib/apache2/modules"


def unescape(text):
    def one(match):
        body = match.group(1)
        if body.startswith("{"):
            return body[1] * int(body[3:-1])
        if body.startswith("x"):
            return chr(int(body[1:], 16))
        return {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}[body]

    return re.sub(r"\\(\{.\*\d+\}|x[0-9A-Fa-f]{2}|[rnt\\])", one, text)


class Case:
    def __init__(self, name, where):
        self.name, self.where = name, where
        self.files, self.headers, self.give, self.keep = {}, {}, {}, []
        self.method, self.url = "GET", "/probe.php"
        self.error, self.forbidden, self.unlike = None, False, None


def read_cases(path):
    cases, target = [], None
    for number, line in enumerate(path.read_text(encoding="latin-1").split("\n"), 1):
        if not line.startswith("@"):
            if target is not None:
                case, file, escaped = target
                text = line + "\n"
                if escaped:
                    text = unescape(line[:-2]) if line.endswith("\\c") else unescape(line) + "\n"
                case.files[file] += text
            elif line.strip() and not line.startswith("#"):
                sys.exit(f"{path}:{number}: text outside of a file")
            continue
        target = None
        word, _, rest = line[1:].partition(" ")
        if word == "case":
            cases.append(Case(rest, f"{path.name}:{number}"))
            continue
        case = cases[-1]
        name, _, value = rest.partition(" ")
        if word in ("file", "escaped"):
            case.files[rest] = ""
            target = (case, rest, word == "escaped")
        elif word == "request":
            case.method, case.url = name, value
        elif word == "header":
            key, _, value = rest.partition(": ")
            case.headers[key] = value
        elif word == "give":
            case.give[name] = unescape(value)
        elif word in ("keep", "system"):
            case.keep.append(name)
        elif word == "error":
            case.error = value
        elif word == "forbidden":
            case.forbidden = True
        elif word == "unlike-apache":
            case.unlike = rest
        elif word != "diagnostic":
            sys.exit(f"{path}:{number}: unknown @{word}")
    return cases


def configuration(root, port, module):
    load = "\n".join(
        f"LoadModule {name}_module {MODULES}/mod_{name}.so"
        for name in ("mpm_prefork", "authz_core", "authz_host", "dir", "env", "setenvif"))
    return f"""
ServerRoot {root}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {root}/pid
DefaultRuntimeDir {root}
ErrorLog {root}/error.log
{load}
LoadModule php_module {module}
PHPIniDir {root}
User www-data
Group www-data
StartServers 1
DocumentRoot {root}/site
<Directory />
  AllowOverride None
</Directory>
<Directory {root}/site>
  AllowOverride All
  Require all granted
</Directory>
<FilesMatch "\\.php$">
  SetHandler application/x-httpd-php
</FilesMatch>
"""


def lay_out(directory, case):
    script = case.url.split("?")[0]
    script = script[: script.index(".php") + 4].lstrip("/")
    for file, text in {**case.files, script: PROBE}.items():
        path = directory / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))


def ask(port, case):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(case.method, case.url, skip_host=True)
    headers = {"Host": "localhost", **case.headers}
    body = b"x=1" if case.method == "POST" else b""
    if body:
        headers["Content-Length"] = "3"
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    for key, value in headers.items():
        connection.putheader(key, value)
    connection.endheaders(body or None)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, text


def check(case, status, text, log, baseline):
    wanted = 403 if case.forbidden else 500 if case.error is not None else 200
    if status != wanted:
        return [f"status {status}, not {wanted}: {log.strip()}"]
    if case.error is not None and case.error not in log:
        return [f"log says {log.strip()!r}"]
    if wanted != 200 or case.method == "HEAD":
        return []
    try:
        seen = json.loads(text)
    except ValueError:
        return [f"not run: {text[:80]!r}"]
    wrong = [f"{name} is {seen.get(name)!r}, not {value!r}" for name, value in case.give.items()
             if seen.get(name) != value]
    return wrong + [f"{name} is {seen.get(name)!r}, not kept {baseline.get(name)!r}" for name in case.keep
                    if seen.get(name) != baseline.get(name)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", default=MODULES + "/libphp8.2.so")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("files", nargs="*", type=pathlib.Path,
                        default=sorted(pathlib.Path(__file__).parent.glob("*.cases")))
    options = parser.parse_args()
    cases = [case for file in options.files for case in read_cases(file) if options.only in case.name]
    root = pathlib.Path(tempfile.mkdtemp(prefix="htaccess-mod-php-"))
    os.chmod(root, 0o755)
    server = None
    failures = compared = 0
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (root / "httpd.conf").write_text(configuration(root, port, os.path.abspath(options.module)))
        (root / "php.ini").write_text("display_errors=0\nlog_errors=0\nrealpath_cache_size=0\n")
        (root / "empty").mkdir()
        os.symlink(root / "empty", root / "site")
        lay_out(root / "empty", Case("", ""))
        server = subprocess.Popen(["/usr/sbin/apache2", "-f", str(root / "httpd.conf"), "-DFOREGROUND"],
                                  stderr=subprocess.DEVNULL, process_group=0)
        for _ in range(100):
            try:
                status, text = ask(port, Case("", ""))
                break
            except OSError:
                time.sleep(0.05)
        else:
            sys.exit("Apache does not answer: " + (root / "error.log").read_text())
        baseline = json.loads(text)
        log = root / "error.log"
        for number, case in enumerate(cases):
            if case.unlike is not None:
                continue
            directory = root / f"case{number}"
            directory.mkdir()
            lay_out(directory, case)
            os.symlink(directory, root / "next")
            os.rename(root / "next", root / "site")
            start = log.stat().st_size
            status, text = ask(port, case)
            said = log.read_bytes()[start:].decode("latin-1")
            compared += 1
            for problem in check(case, status, text, said, baseline):
                failures += 1
                print(f"{case.where}: {case.name}: {problem}")
    finally:
        if server is not None:
            server.send_signal(signal.SIGTERM)
            server.wait(20)
        shutil.rmtree(root)
    print(f"{compared} of {len(cases)} cases compared with mod_php, {failures} differences")
    return 1 if failures or not compared else 0


if __name__ == "__main__":
    sys.exit(main())

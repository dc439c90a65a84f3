#!/usr/bin/python3
"""What a CGI script is told, as JSON; the query says what else it does."""

import json
import os
import signal
import sys
import time

query = os.environ.get("QUERY_STRING", "")
if query == "silent":
    sys.exit(3)
if query == "nonsense":
    print("no header at all\n\nbut a body")
    sys.exit()
if query == "nph":
    sys.stdout.write("HTTP/1.1 418 I'm a teapot\r\nContent-Type: text/plain\r\n\r\nshort and stout")
    sys.exit()
if query == "moved":
    sys.stdout.write("Location: http://example.org/\r\n\r\n")
    sys.exit()
if query == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        time.sleep(600)
    time.sleep(600)
if query == "endless":
    sys.stdout.write("Content-Type: text/plain\r\n\r\n")
    while True:
        sys.stdout.write("x" * 65536)
        sys.stdout.flush()
if query == "complains":
    print("a line for the log", file=sys.stderr)
body = sys.stdin.buffer.read()
if query == "mirror":
    sys.stdout.write("Content-Type: application/octet-stream\r\n\r\n")
    sys.stdout.flush()
    sys.stdout.buffer.write(body)
    sys.exit()
sys.stdout.write("Status: 201 Created\r\nContent-Type: application/json\r\n\r\n")
json.dump({"env": dict(os.environ), "body": body.decode("latin-1"), "cwd": os.getcwd(), "uid": os.getuid(),
           "pid": os.getpid(), "cgroup": open("/proc/self/cgroup").read(), "argv": sys.argv,
           "homes": sorted(os.listdir(os.path.dirname(os.environ["HOME"]))),
           "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))}, sys.stdout)

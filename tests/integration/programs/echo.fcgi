#!/usr/bin/python3
"""A FastCGI program on descriptor 0 (FastCGI Specification 1.0), one request a connection."""

import json
import os
import signal
import socket
import struct
import sys
import time

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR = 1, 2, 3, 4, 5, 6, 7
if len(sys.argv) == 1:
    listener = socket.socket(fileno=os.dup(0))
else:
    listener = socket.socket(socket.AF_UNIX)
    time.sleep(1)  # a start that takes a while
    listener.bind(sys.argv[1])
    listener.listen()
served = 0


def read(stream):
    head = stream.read(8)
    if len(head) < 8:
        return None, b""
    _, kind, _, size, padding = struct.unpack("!BBHHBx", head)
    content = stream.read(size)
    stream.read(padding)
    return kind, content


def decode(data):
    values, at = {}, 0
    while at < len(data):
        sizes = []
        for _ in range(2):
            if data[at] < 128:
                sizes.append(data[at])
                at += 1
            else:
                sizes.append(struct.unpack_from("!I", data, at)[0] & 0x7FFFFFFF)
                at += 4
        name, value = data[at:at + sizes[0]], data[at + sizes[0]:at + sum(sizes)]
        at += sum(sizes)
        values[name.decode("latin-1")] = value.decode("latin-1")
    return values


def send(connection, kind, content):
    for at in range(0, len(content) or 1, 65535):
        piece = content[at:at + 65535]
        connection.sendall(struct.pack("!BBHHBx", 1, kind, 1, len(piece), 0) + piece)


def answer(connection, params, body):
    query = params.get("QUERY_STRING", "")
    if query == "die":
        os._exit(7)
    if query == "hang":
        time.sleep(600)
    if query == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if query == "endless":
        send(connection, STDOUT, b"Content-Type: text/plain\r\n\r\n")
        while True:
            send(connection, STDOUT, b"x" * 65528)
    if query == "complains":
        send(connection, STDERR, b"a line for the log\n")
    if query == "mirror":
        send(connection, STDOUT, b"Content-Type: application/octet-stream\r\n\r\n" + body)
        return
    if query == "half":
        send(connection, STDOUT, b"Content-Type: text/plain\r\n\r\nthe first half")
        os._exit(8)
    if query == "flushed":
        send(connection, STDOUT, b"Content-Type: text/plain\r\n\r\nfirst\n")
        time.sleep(3)
        send(connection, STDOUT, b"second\n")
        return
    send(connection, STDOUT, b"Status: 201 Created\r\nContent-Type: application/json\r\n\r\n" + json.dumps(
        {"params": params, "body": body.decode("latin-1"), "pid": os.getpid(), "uid": os.getuid(),
         "cwd": os.getcwd(), "served": served, "environ": dict(os.environ),
         "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))}).encode())


while True:
    connection, _ = listener.accept()
    try:
        stream = connection.makefile("rb")
        params, body, kind = b"", b"", None
        while True:
            kind, content = read(stream)
            if kind is None or (kind == STDIN and not content):
                break
            params += content if kind == PARAMS else b""
            body += content if kind == STDIN else b""
        if kind is not None:
            served += 1
            answer(connection, decode(params), body)
            send(connection, STDOUT, b"")
            send(connection, END, bytes(8))
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        connection.close()

"""This machine: where the programs are, what kind of machine it is, and how patient a test has to be on it."""

import functools
import mmap
import os
import pathlib
import socket
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("PADDOCK_BIN", REPOSITORY / "build/release/bin")).resolve()
IN_VM = os.environ.get("PADDOCK_IN_VM") == "1"
# What the kernel and its cgroups make no difference to: with these the VM, where every instruction is interpreted, would
# take an hour. PADDOCK_VM_ALL=1 runs them there all the same.
KERNEL_INDEPENDENT = {"test_bad_input", "test_dokuwiki", "test_opcache", "test_requests", "test_scale", "test_audit",
                      "test_module_requests", "test_module", "test_module_suspended", "test_module_php",
                       "test_htaccess", "test_deadline", "test_slow_clients", "test_compatibility",
                       "test_dashboard", "test_dashboard_browser", "test_mail", "test_metrics", "test_notify",
                      "test_top", "test_programs", "test_nginx", "test_fpm_features", "test_php_tests", "test_fpm_tests",
                      "test_kept_opcache", "test_php_versions", "test_config", "test_wordpress", "test_phpmyadmin", "test_mediawiki",
                      "test_completions"}
VM_ALL = os.environ.get("PADDOCK_VM_ALL") == "1"
# Every private directory of these tests begins so; what a killed run left behind is known by it.
PREFIX = "paddock-it-"


@functools.cache
def sanitized():
    """Whether the programs under test were built with AddressSanitizer."""
    with open(BIN / "paddockd", "rb") as program, mmap.mmap(program.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"__asan_init") >= 0


@functools.cache
def slowness():
    """By how much a wait is longer here than on an idle machine; the VM interprets its instructions."""
    return float(os.environ.get("PADDOCK_TEST_SLOWNESS", 15 if IN_VM else 4 if sanitized() else 1))


def patience(seconds):
    return seconds * slowness()


def wait_for(condition, seconds=10, what=None, interval=0.02):
    """Returns condition()'s first true value; fails the test after patience(seconds)."""
    end = time.monotonic() + patience(seconds)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience(seconds):g} s: {what or condition.__doc__ or condition}")
        time.sleep(interval)


_given_out = set()


def free_port():
    """A port of 127.0.0.1 that was free a moment ago; who binds it must be ready to lose the race.

    None twice: whoever asks for several has bound none of them yet.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _given_out:
            _given_out.add(port)
            return port


@functools.cache
def cgroup2_mount():
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            fields = line.split()
            if fields[fields.index("-") + 1] == "cgroup2":
                return pathlib.Path(fields[4])
    raise RuntimeError("no cgroup2 is mounted on this machine")


def controllers():
    return (cgroup2_mount() / "cgroup.controllers").read_text().split()

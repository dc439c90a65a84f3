"""Completions for bash, fish and zsh: each shell takes its file, and offers all that paddock(1) has."""

import os
import re
import shutil
import subprocess

import pytest

from harness import machine

COMPLETIONS = machine.REPOSITORY / "completions"
BASH = """source /usr/share/bash-completion/bash_completion
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9
_paddock
printf '%s\\n' "${COMPREPLY[@]}"
"""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True,
                          env={**os.environ, "PATH": f"{machine.BIN}:{os.environ['PATH']}"})
    assert done.stderr == ""
    return done.stdout


def bash(*words):
    return run("bash", "-c", BASH, "bash", COMPLETIONS / "paddock", *words).split()


def fish(*words):
    listed = run("fish", "--no-config", "-c", f"source {COMPLETIONS / 'paddock.fish'}; complete -C $argv", " ".join(words))
    return [line.split("\t")[0] for line in listed.splitlines()]


def help_of(*command):
    return run(machine.BIN / "paddock", *command, "--help")


@pytest.fixture(scope="module")
def commands():
    """The options of each command, as its --help has them."""
    names = re.findall(r"^  ([a-z]+) ", help_of().partition("Subcommands:")[2], re.MULTILINE)
    assert {"status", "kill", "vhost"} <= set(names)
    return {name: set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", help_of(name), re.MULTILINE)) for name in names}


@pytest.mark.parametrize("complete", [bash, fish])
def test_all_that_there_is(commands, complete):
    assert set(commands) <= set(complete("paddock", ""))
    missing = {name: options - set(complete("paddock", name, "--")) for name, options in commands.items()}
    assert not {name: options for name, options in missing.items() if options}
    assert set(complete("paddock", "token", "")) >= {"admin", "metrics"}
    assert "apache" in complete("paddock", "vhost", "--server", "")


@pytest.mark.parametrize("complete", [bash, fish])
def test_names_of_tenants(make_paddock, complete):
    paddock = make_paddock()
    for name in ("alice", "bob"):
        paddock.add_tenant(name)
    paddock.start()
    offered = complete("paddock", "--config", str(paddock.config), "kill", "")
    assert {"alice", "bob"} <= set(offered)
    assert "alice" not in complete("paddock", "--config", str(paddock.config), "doctor", "")


def test_zsh(commands):
    """Its completion needs a terminal, so this looks at the text only."""
    assert shutil.which("zsh")
    assert run("zsh", "-n", COMPLETIONS / "_paddock") == ""
    text = (COMPLETIONS / "_paddock").read_text()
    branches = dict.fromkeys(commands, "")
    for names, body in re.findall(r"^    ([a-z| ]+)\)(.*?);;", text, re.MULTILINE | re.DOTALL):
        for name in names.split("|"):
            branches[name.strip()] += body
    common = {"--help", "--json"}
    missing = {name: [option for option in options - common if option not in branches[name]]
               for name, options in commands.items()}
    assert all(branches.values()), "each command has a branch"
    assert not any(missing.values()), missing
    assert all(f"{name}:" in text for name in commands)

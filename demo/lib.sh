# shellcheck shell=bash
# shellcheck disable=SC2034 # those that source this use them
# What demo/start and demo/stop agree on.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
bin=${PADDOCK_BIN:-$repo/build/release/bin}
base=/var/lib/paddock-demo # config, state, logs; names what was made, so that exactly that is removed
run=/run/paddock-demo
config=$base/paddock.toml
accounts=(paddock-alice paddock-wiki)
gateway_account=paddock-demo-gateway
dashboard_account=paddock-demo-dash

say() { printf '%s\n' "$*"; }

fail() {
  printf 'demo: %s\n' "$@" >&2
  exit 1
}

# $1: the command that the user typed.
need_root() {
  ((EUID == 0)) || fail "needs root: sudo $1"
}

# The process in a pid file, if it is still the program that was started: numbers are reused.
running() {
  local file=$1 word=$2 pid
  [[ -s $file ]] || return 1
  pid=$(<"$file")
  { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF -- "$word" || return 1
  echo "$pid"
}

wait_until_gone() {
  local pid=$1 tries
  for ((tries = 0; tries < 300; ++tries)); do
    [[ -e /proc/$pid ]] || return 0
    sleep 0.1
  done
  return 1
}

# $1: the pid file; $2: a word of its command line; $3: what it is called.
terminate() {
  local pid
  pid=$(running "$1" "$2") || return 0
  kill -TERM "$pid"
  wait_until_gone "$pid" || fail "$3 (process $pid) does not end after SIGTERM; its log is below $base"
}

stop_programs() {
  terminate "$base/apache.pid" "$base/apache.conf" Apache
  terminate "$base/paddockd.pid" "$config" paddockd
}

# shellcheck shell=bash
# A step is one command whose output goes to a log: one line tells that it runs and for how long, and a failure shows
# the end of the log. Bash ignores `set -e` in commands whose exit code is looked at, as a step's is: functions that
# run as steps have to say `|| return` themselves.

readonly log_directory=build/log
# How much of a failed step's log is shown. A CI machine is gone afterwards, so there the log has to be in its output.
log_lines=80
[[ -z ${CI:-} ]] || log_lines=1500

running=''
step_seconds=0

give_up() {
  echo "dev: $1" >&2
  exit 1
}

require_root() {
  ((EUID == 0)) || give_up "needs root $1: sudo ./dev ..."
}

# Its children first: one is timeout, which passes the signal on to what it runs.
stop_running_step() {
  [[ -n $running ]] || return 0
  # shellcheck disable=SC2046 # one word for each process
  kill $(cat "/proc/$running/task/$running/children" 2>/dev/null) "$running" 2>/dev/null || true
}
trap 'stop_running_step; exit 130' INT
trap 'stop_running_step; exit 143' TERM HUP

# On a terminal a line that changes; elsewhere (CI) a line each minute, so that a step that hangs can be told.
show_progress() {
  local title=$1 log=$2 seconds=$3 now
  now=$(tail -c 300 "$log" | tr '\r' '\n' | tail -n 1 | tr -cd '[:print:]')
  if [[ -t 1 ]]; then
    printf '\r\033[K...   %s, %d s  %.60s' "$title" "$seconds" "$now"
  elif ((seconds % 60 == 0)); then
    printf '...    %s, %d s  %.100s\n' "$title" "$seconds" "$now"
  fi
}

await_step() {
  local title=$1 log=$2 start=$3 shown=0 pause=0.05
  while kill -0 "$running" 2>/dev/null; do
    sleep "$pause"
    ((SECONDS == start + shown)) && continue
    shown=$((SECONDS - start)) pause=0.25
    show_progress "$title" "$log" "$shown"
  done
  [[ ! -t 1 ]] || printf '\r\033[K'
}

# step NAME TITLE COMMAND...: COMMAND's exit code; log in build/log/NAME.log, time in step_seconds.
step() {
  local name=$1 title=$2 log start=$SECONDS status=0
  shift 2
  log=$log_directory/$name.log
  mkdir -p "$log_directory"
  "$@" >"$log" 2>&1 </dev/null &
  running=$!
  await_step "$title" "$log" "$start"
  wait "$running" || status=$?
  running=''
  step_seconds=$((SECONDS - start))
  if ((status == 0)); then
    printf 'ok     %s (%d s)\n' "$title" "$step_seconds"
  else
    printf 'FAILED %s (%d s): exit code %d; the end of %s:\n' "$title" "$step_seconds" "$status" "$PWD/$log"
    tail -n "$log_lines" "$log" | sed 's/^/  | /'
  fi
  return "$status"
}

# bounded SECONDS COMMAND...: so that nothing hangs for ever. Bash starts background commands with SIGINT ignored,
# which programs under test would inherit; TERM comes first so that tests can clean up.
bounded() {
  local seconds=$1
  shift
  timeout --kill-after=60 "$seconds" env --default-signal=INT,QUIT "$@"
}

# shellcheck shell=bash disable=SC2154 # log_directory and step_seconds are of steps.sh
# ./dev test: every stage runs even if an earlier one failed, except where it needs what that one makes.

readonly results=build/test-results
readonly tested_presets=(release asan-ubsan tsan)

# record NAME STATUS TITLE [JUNIT]: a line for scripts/summary.py.
record() {
  printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$step_seconds" "$3" "${4:-}" >>"$results/stages.tsv"
}

# stage NAME TITLE JUNIT COMMAND...: a step whose result counts. Always succeeds, so that the next stage runs.
stage() {
  local name=$1 title=$2 junit=$3 status=passed
  shift 3
  step "$name" "$title" "$@" || status=failed
  record "$name" "$status" "$title" "$junit"
  [[ $status == passed ]]
}

not_run() {
  step_seconds=0
  printf 'NOT RUN %s: %s\n' "$2" "$3"
  record "$1" 'not run' "$2 ($3)"
}

build_all() {
  local preset
  for preset in "${tested_presets[@]}"; do
    stage "build-$preset" "build, $preset" '' compile "$preset" && built[$preset]=yes
  done
}

unit_tests() {
  local preset=$1 junit=$PWD/$results/unit-$1.xml
  steady_addresses "$preset" timeout --kill-after=60 1200 env --default-signal=INT,QUIT \
    ctest --test-dir "build/$preset" --parallel 2 --repeat until-pass:2 --output-on-failure --timeout 300 \
    --no-tests=error --output-junit "$junit"
}

# integration_tests PRESET JUNIT [PYTEST ARGUMENT...]
integration_tests() {
  local preset=$1 junit=$2
  shift 2
  export PADDOCK_BIN=$PWD/build/$preset/bin PYTHONUNBUFFERED=1
  # Every report of a sanitizer is a crash that the tests see.
  export ASAN_OPTIONS=abort_on_error=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
  bounded 1800 tests/integration/run-for-sure "$PWD/$junit" --verbose --durations=10 "$@"
}

vm_selftest() {
  vagrant/vm/run --timeout 180 --log "$PWD/$log_directory/vm-kernel-selftest.log" -- vagrant/vm/selftest
}

# fetch_for_vm: what the tests download where there is a network, since the VM has none.
fetch_for_vm() { demo/dokuwiki fetch && tests/integration/fetch; }

# in_vm NAME=VALUE [PYTEST ARGUMENT...]
in_vm() {
  local variable=$1
  shift
  vagrant/vm/run --timeout "${PADDOCK_VM_TIMEOUT:-3900}" --results "$results/vm" \
    --log "$PWD/$log_directory/vm-kernel.log" --env "PADDOCK_BIN=$PWD/build/release/bin" --env PYTHONUNBUFFERED=1 \
    --env "$variable" -- \
    tests/integration/run-for-sure "$PWD/$results/vm/integration.xml" --verbose --durations=10 "$@"
}

# vm_integration_tests [PYTEST ARGUMENT...]: where the VM itself hangs, a second one goes on behind the tests that had
# passed; the summary tells of it.
vm_integration_tests() {
  local passed=$PWD/$results/vm/integration.passed status=0
  mkdir -p "$results/vm"
  rm -f "$passed"
  fetch_for_vm || return
  in_vm "PADDOCK_PASSED=$passed" "$@" || status=$?
  if ((status == 123)) && [[ -s $passed ]]; then
    in_vm "PADDOCK_PASSED_BEFORE=$passed" "$@"
    return
  fi
  rm -f "$passed"
  return "$status"
}

all_unit_tests() {
  local preset
  for preset in "${tested_presets[@]}"; do
    if [[ -v built[$preset] ]]; then
      stage "unit-$preset" "unit tests, $preset" "$results/unit-$preset.xml" unit_tests "$preset" || true
    else
      not_run "unit-$preset" "unit tests, $preset" "$preset was not built"
    fi
  done
}

all_integration_tests() {
  if [[ -v built[release] ]]; then
    stage integration 'integration tests' "$results/integration.xml" \
      integration_tests release "$results/integration.xml" || true
  else
    not_run integration 'integration tests' 'release was not built'
  fi
  if [[ -v built[asan-ubsan] ]]; then
    stage integration-asan 'integration tests, asan-ubsan' "$results/integration-asan.xml" \
      integration_tests asan-ubsan "$results/integration-asan.xml" -m sanitizer || true
  else
    not_run integration-asan 'integration tests, asan-ubsan' 'asan-ubsan was not built'
  fi
}

# One after the other: the VM interprets its instructions and would slow other tests past their patience.
all_vm_tests() {
  stage vm-selftest 'VM: self-test' '' vm_selftest || true
  if [[ -v built[release] ]]; then
    stage vm-integration 'VM: integration tests' "$results/vm/integration.xml" vm_integration_tests || true
  else
    not_run vm-integration 'VM: integration tests' 'release was not built'
  fi
}

# Needs nothing but a build; the network gives it a Debian to install the packages in.
all_package_tests() {
  if [[ -v built[release] ]]; then
    stage packages 'Debian packages' '' build_packages || return 0
    stage lintian 'lintian' '' check_packages || true
    stage packages-installed 'packages, installed in a clean Debian' '' bounded 600 tests/packages/run || true
  else
    not_run packages 'Debian packages' 'release was not built'
  fi
}

# A machine of its own from the packages. Last, and left out where the rest has taken so long that the run as a whole
# might not end within an hour and a half: what else runs in a VM has tested the same programs by then.
box_test() {
  if ((SECONDS > 3900)); then
    echo 'left out: more than 65 minutes have gone; sudo tests/box/run is the test'
    return
  fi
  bounded 1000 tests/box/run --console "$PWD/$log_directory/box-console.log"
}
all_box_tests() {
  if compgen -G 'build/packages/paddock_*.deb' >/dev/null; then
    stage box 'the Vagrant box: tour, restarts, upgrade' '' box_test || true
  else
    not_run box 'the Vagrant box: tour, restarts, upgrade' 'there are no packages'
  fi
}

test_everything() {
  local -A built=()
  rm -rf "$results"
  mkdir -p "$results"
  build_all || true
  all_unit_tests
  all_integration_tests
  all_package_tests
  all_vm_tests
  all_box_tests
  python3 -B scripts/summary.py "$results/stages.tsv" "$log_directory"
}

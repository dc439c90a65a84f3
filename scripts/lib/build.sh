# shellcheck shell=bash disable=SC2034 # the variables are for those who source this
# Building a preset into build/PRESET/.

readonly presets=(dev release asan-ubsan tsan fuzz)

# The sanitizers of GCC 12 reserve fixed addresses, which kernels with vm.mmap_rnd_bits=32 now and then have taken.
# Where setarch is not allowed, as in some containers, they go without.
steady_addresses() {
  if [[ $1 == *san* ]] && setarch --addr-no-randomize true 2>/dev/null; then
    shift
    setarch --addr-no-randomize "$@"
  else
    shift
    "$@"
  fi
}

compile() {
  local preset=$1
  export NINJA_STATUS='[%f/%t] '
  # ninja runs cmake again by itself when a CMakeLists.txt has changed.
  if [[ ! -e build/$preset/build.ninja ]]; then
    bounded 300 cmake --preset "$preset" || return
  fi
  # Discovering the tests runs them, hence the addresses.
  steady_addresses "$preset" timeout --kill-after=60 3600 cmake --build --preset "$preset" --parallel "$(nproc)"
}

build() {
  local preset=$1
  step "build-$preset" "building $preset" compile "$preset" && return
  echo "  Compiler errors are above. If CMake complains of its cache: rm -rf $PWD/build/$preset"
  return 1
}

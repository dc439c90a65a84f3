# shellcheck shell=bash
# ./dev fmt and ./dev lint.

# project_files PATTERN...: tracked or new, not ignored. Under sudo the tree belongs to somebody else, which git minds.
project_files() {
  git -c safe.directory="$PWD" ls-files --cached --others --exclude-standard -- "$@"
}

# Scripts have no suffix; what makes them scripts is their first line, or that they are made to be sourced.
shell_scripts() {
  project_files . | while read -r file; do
    [[ -f $file ]] && head -n 1 "$file" | LC_ALL=C grep -qaE '^#!.*(bash|busybox sh)|^# shellcheck shell=' && echo "$file"
  done
}

command_fmt() {
  ensure_packages lint
  project_files '*.cc' '*.h' | xargs --no-run-if-empty clang-format -i
}

check_format() { project_files '*.cc' '*.h' | xargs --no-run-if-empty clang-format --dry-run -Werror; }
check_scripts() { shell_scripts | xargs --no-run-if-empty shellcheck --external-sources; }

# Of the files that the preset `dev` compiles; it has to be built, since some headers are made then.
check_code() { run-clang-tidy -quiet -p build/dev -j "$(nproc)"; }

command_lint() {
  local status=0
  ensure_packages build lint
  step lint-format 'clang-format' check_format || { status=1; echo '  ./dev fmt puts that right'; }
  step lint-scripts 'shellcheck' check_scripts || status=1
  build dev || return
  step lint-code 'clang-tidy' check_code || status=1
  return "$status"
}

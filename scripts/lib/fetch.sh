# shellcheck shell=bash
# What comes from the network, once, into directories that are there as a whole or not at all.

# fetch_once DIRECTORY COMMAND...: unless DIRECTORY is there, COMMAND, called in an empty one, fills it. A function has to
# say `|| return` itself, as one that runs as a step (steps.sh).
fetch_once() (
  directory=$1
  shift
  [[ ! -e $directory ]] || exit 0
  mkdir -p "${directory%/*}" && work=$(mktemp -d "$directory.XXXXXX") || exit
  # shellcheck disable=SC2064 # this directory, whatever COMMAND calls so
  trap "rm -rf '$work'" EXIT
  # apt drops its rights for a download; the directory has to be writable for it, or it warns.
  chmod 755 "$work" && cd "$work" && "$@" || exit
  # Another run may have been faster: its result is as good as this one.
  mv --no-target-directory "$work" "$directory" 2>/dev/null || [[ -d $directory ]]
)

# unpack_package PACKAGE: Debian's package, unpacked into ./root.
unpack_package() {
  local download=(apt-get -qq -o APT::Sandbox::User=root download "$1")
  # A second time with lists of today: the archive does not keep what a security update has replaced.
  if ! { "${download[@]}" || { apt-get -qq update && "${download[@]}"; }; }; then
    echo "apt cannot download the package $1: is there a network?" >&2
    return 1
  fi
  dpkg-deb --extract ./*.deb root && rm ./*.deb
}

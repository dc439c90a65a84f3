# shellcheck shell=bash
# Installs what a purpose needs: the lists are scripts/packages/PURPOSE.txt, a package a line, with its reason.

# The names in those lists, each once.
listed_packages() {
  sed 's/#.*//' "${@/#/scripts/packages/}" | tr -s ' \n' '\n' | sed '/^$/d' | sort -u
}

# One call of dpkg-query for all: asking for each would make every ./dev slow.
missing_packages() {
  local listed
  listed=$(listed_packages "$@")
  # shellcheck disable=SC2086 # one word for each package
  comm -23 <(echo "$listed") \
    <(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' $listed 2>/dev/null |
      awk '$2 == "installed" { print $1 }' | sort -u)
}

# Packages start their services as they are installed; here that would be an Apache or PHP-FPM that nobody asked for.
forbid_service_starts() {
  [[ ! -e /usr/sbin/policy-rc.d ]] || return 0
  printf '#!/bin/sh\n# For the time of an installation by ./dev: starts nothing.\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}

# Nor shall a service that came in by our hand start with the next boot.
keep_off_boot() {
  local package
  [[ -d /run/systemd/system ]] || return 0
  for package in "$@"; do
    case $package in
      autofs | php*-fpm | prometheus) systemctl disable --quiet "$package" ;;
      nginx-*) systemctl disable --quiet nginx ;;
    esac
  done
}

install_packages() (
  export DEBIAN_FRONTEND=noninteractive
  exec {lock}>/run/lock/paddock-packages # two runs at once would remove each other's policy-rc.d
  flock "$lock"
  forbid_service_starts
  apt-get --quiet update &&
    apt-get --quiet --yes --no-install-recommends -o DPkg::Lock::Timeout=300 install "$@" &&
    keep_off_boot "$@"
)

# ensure_packages PURPOSE...
ensure_packages() {
  local missing
  # Node that comes from elsewhere brings its npm, and Debian's would not go beside it.
  [[ " $* " != *' build '* ]] || command -v npm >/dev/null || set -- "$@" frontend
  mapfile -t missing < <(missing_packages "${@/%/.txt}")
  ((${#missing[@]} > 0)) || return 0
  echo "missing packages: ${missing[*]}"
  require_root 'to install them'
  step packages 'installing them with apt' install_packages "${missing[@]}" ||
    give_up "apt could not install them: is there a network? They are named in scripts/packages/ ($*)"
}

# apt_sources: from where this machine has its packages, for another Debian 12 (mmdebstrap).
apt_sources() {
  local file found=no
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
    ! grep -qsE '^(deb |Types:.*deb)' "$file" || { echo "$file"; found=yes; }
  done
  [[ $found == yes ]] || echo 'deb http://deb.debian.org/debian bookworm main'
}

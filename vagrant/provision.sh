#!/bin/bash
# Makes a Debian 12 machine one that can enforce all of Paddock's limits, with Paddock's packages, three sample tenants
# and the dashboard on it. May be run again: what is as it shall be is left alone.
#   vagrant/provision.sh kernel                 what needs a reboot to take effect
#   vagrant/provision.sh paddock [PACKAGES]     after the reboot; PACKAGES: a directory, build/packages by default.
#                                               Where there are none they are built, here, which takes a while.
set -euo pipefail
packages=$(readlink -m "${2:-"$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../build/packages"}")
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

# shellcheck source=vagrant/lib/guest.sh
source lib/guest.sh
# shellcheck source=vagrant/lib/samples.sh
source lib/samples.sh
export DEBIAN_FRONTEND=noninteractive
readonly grub_file=/etc/default/grub.d/paddock.cfg installed_file=/var/lib/paddock-machine/packages.sha256

provision_kernel() {
  if [[ -e $grub_file && $(<"$grub_file") == "$(guest_grub_line)" ]]; then
    echo 'the kernel command line is set already'
    return
  fi
  mkdir -p "${grub_file%/*}"
  guest_grub_line >"$grub_file"
  update-grub
}

# Debian's own, unless all are there: a machine without a network has them in its box.
install_debian_packages() {
  local missing
  mapfile -t missing < <(
    cd ..
    # shellcheck source=scripts/lib/packages.sh
    source scripts/lib/packages.sh
    missing_packages demo.txt machine.txt
  )
  ((${#missing[@]} > 0)) || return 0
  echo "installing ${missing[*]}"
  apt-get --quiet=2 update
  apt-get --quiet=2 --yes --no-install-recommends install "${missing[@]}"
}

# By their contents, since a package that was built again has the same version.
install_paddock() {
  local files
  mapfile -t files < <(find "$packages" -name '*.deb' ! -name '*-dbgsym_*' 2>/dev/null | sort)
  if ((${#files[@]} == 0)); then
    echo "no packages in $packages: building them"
    ../dev package
    mapfile -t files < <(find ../build/packages -name '*.deb' ! -name '*-dbgsym_*' -exec readlink -f {} + | sort)
  fi
  if sha256sum --check --status "$installed_file" 2>/dev/null &&
    [[ $(wc -l <"$installed_file") == "${#files[@]}" ]]; then
    echo 'the packages are installed already'
    return
  fi
  apt-get --quiet=2 --yes --no-install-recommends --reinstall --allow-downgrades install "${files[@]}"
  mkdir -p "${installed_file%/*}"
  sha256sum "${files[@]}" >"$installed_file"
}

provision_paddock() {
  guest_enable_controllers /sys/fs/cgroup
  # The test VM's own check: whatever is missing here would make a limit of Paddock's a wish.
  vm/selftest
  install_debian_packages
  install_paddock
  samples_install
  samples_check
}

((EUID == 0)) || { echo 'provision.sh: needs root' >&2; exit 1; }
case ${1:-} in
  kernel) provision_kernel ;;
  paddock) provision_paddock ;;
  *) echo 'usage: provision.sh kernel | paddock [PACKAGES]' >&2; exit 2 ;;
esac

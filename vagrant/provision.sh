#!/bin/bash
# Makes a Debian 12 machine one that can enforce all of Paddock's limits, with the demo on it. May be run again.
#   vagrant/provision.sh kernel     what needs a reboot to take effect
#   vagrant/provision.sh paddock    after the reboot: checks the machine, builds, starts the demo
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

# shellcheck source=vagrant/lib/guest.sh
source lib/guest.sh
readonly grub_file=/etc/default/grub.d/paddock.cfg

# systemd mounts cgroup v2 alone unless told otherwise, and this tells it last.
provision_kernel() {
  local line="GRUB_CMDLINE_LINUX=\"\$GRUB_CMDLINE_LINUX $guest_kernel_args systemd.unified_cgroup_hierarchy=1\""
  if [[ -e $grub_file && $(<"$grub_file") == "$line" ]]; then
    echo 'the kernel command line is set already'
    return
  fi
  mkdir -p "${grub_file%/*}"
  echo "$line" >"$grub_file"
  update-grub
}

provision_paddock() {
  guest_enable_controllers /sys/fs/cgroup
  # The test VM's own check: whatever is missing here would make a limit of Paddock's a wish.
  vm/selftest
  ../dev demo
}

((EUID == 0)) || { echo 'provision.sh: needs root' >&2; exit 1; }
case ${1:-} in
  kernel) provision_kernel ;;
  paddock) provision_paddock ;;
  *) echo 'usage: provision.sh kernel | paddock' >&2; exit 2 ;;
esac

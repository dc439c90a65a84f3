# shellcheck shell=bash disable=SC2034 # the variables are for those who source this
# What a machine must offer for Paddock to enforce every limit, said once: the test VM's guest-init, the Vagrant
# provisioning and the self-test all read it from here.

guest_controllers=(cpu memory io pids)

# For the kernel's command line. psi=1: Debian compiles pressure stall information in but leaves it off.
# cgroup_no_v1: a controller that v1 holds is missing from v2.
guest_kernel_args='psi=1 cgroup_no_v1=all'
# Where systemd is process 1: it mounts cgroup v2 alone unless told otherwise, and this tells it last.
guest_boot_args="$guest_kernel_args systemd.unified_cgroup_hierarchy=1"

# For /etc/default/grub.d.
guest_grub_line() { echo "GRUB_CMDLINE_LINUX=\"\$GRUB_CMDLINE_LINUX $guest_boot_args\""; }

guest_mount_cgroup_v2() {
  # The options are systemd's, so that a test sees what a real host has.
  mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
}

guest_has_cgroup_v2() {
  [[ $(stat --file-system --format=%T /sys/fs/cgroup) == cgroup2fs ]]
}

# guest_enable_controllers GROUP: for the children of that group.
guest_enable_controllers() {
  local controller
  for controller in "${guest_controllers[@]}"; do
    echo "+$controller" >"$1/cgroup.subtree_control"
  done
}

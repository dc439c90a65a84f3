#!/bin/bash
# Builds the initramfs that brings the test VM up: busybox, the modules that the root needs, and `init`.
# usage: initramfs.sh KERNEL_RELEASE OUTPUT
set -euo pipefail

readonly here=${BASH_SOURCE[0]%/*}
readonly release=$1 output=$2

# Only what is needed to reach the root: everything else loads later, from the root's own /lib/modules.
readonly modules=(virtio_pci virtio_console virtio_rng 9pnet_virtio 9p overlay)

# modprobe knows the dependencies and the order; we only have to drop what comes twice.
module_files() {
  local module
  for module in "${modules[@]}"; do
    modprobe --ignore-install --set-version "$release" --show-depends "$module"
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

# busybox' insmod reads plain modules only; newer Debian compresses them.
copy_module() {
  local file=$1 target=$2
  case $file in
    *.ko) cp "$file" "$target" ;;
    *.ko.xz) xz -dc "$file" >"$target" ;;
    *.ko.zst) zstd -dcq "$file" >"$target" ;;
    *) echo "initramfs.sh: no way to unpack $file" >&2; return 1 ;;
  esac
}

tree=$(mktemp -d "${TMPDIR:-/tmp}/paddock-initramfs.XXXXXX")
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,dev,lib,lower,proc,root,share,sys,upper}

number=10 # a name that sorts in load order is all that `init` needs
while read -r file; do
  copy_module "$file" "$tree/lib/$number-$(basename "${file%%.ko*}").ko"
  number=$((number + 1))
done < <(module_files)

cp /bin/busybox "$tree/bin/busybox"
cp "${here}/init" "$tree/init"
chmod 755 "$tree/init"
# Not compressed: the guest would unpack it many times slower than the host hands it over.
(cd "$tree" && find . -print0 | cpio --null --create --format=newc --owner=0:0 --quiet) >"$output.new"
mv "$output.new" "$output"

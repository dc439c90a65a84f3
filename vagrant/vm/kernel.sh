#!/bin/bash
# Unpacks a bzImage to the ELF inside, which qemu starts directly: under TCG the guest's own unpacking takes
# three seconds of every boot, here it takes one, once.
# usage: kernel.sh BZIMAGE OUTPUT
set -euo pipefail

readonly image=$1 output=$2

# Prints the offset of the first place where the magic bytes stand.
find_magic() {
  LC_ALL=C grep --only-matching --byte-offset --text --max-count=1 --perl-regexp "$1" "$image" | head -n 1 | cut -d : -f 1
}

# The stream is followed by other data, which unpackers complain about: what counts is that an ELF came out.
unpack() {
  local magic=$1 offset
  shift
  offset=$(find_magic "$magic") || true
  [[ -n $offset ]] || return 1
  tail -c "+$((offset + 1))" "$image" | "$@" >"$output.new" 2>/dev/null || true
  [[ $(head -c 4 "$output.new") == $'\x7fELF' ]]
}

trap 'rm -f "$output.new"' EXIT
unpack '\xFD7zXZ\x00' xz -dc --single-stream ||
  unpack '\x28\xB5\x2F\xFD' zstd -dc ||
  cp "$image" "$output.new" # a packing that we do not know still boots, only slower
mv "$output.new" "$output"

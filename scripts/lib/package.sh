# shellcheck shell=bash
# ./dev package: Debian packages of build/release, in build/packages.

readonly packages=build/packages

# dpkg-buildpackage would write into the directory above the tree, which is not ours.
build_packages() {
  rm -rf "$packages"
  mkdir -p "$packages"
  debian/rules clean && debian/rules binary && debian/rules clean
}

# What lintian says is an error here; what is none to us is named in debian/*.lintian-overrides. Paddock has no mail
# domain of its own.
check_packages() {
  lintian --allow-root --fail-on error,warning --tag-display-limit 0 \
    --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$packages"/*.deb
}

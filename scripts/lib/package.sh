# shellcheck shell=bash
# ./dev package: Debian packages of build/release, in build/packages.

readonly packages=build/packages

# dpkg-buildpackage would write into the directory above the tree, which is not ours.
build_packages() {
  rm -rf "$packages"
  mkdir -p "$packages"
  debian/rules clean && debian/rules binary && debian/rules clean
}

# php_package VERSION: paddock-phpVERSION for another PHP than Debian's, of which php-configVERSION and libphpVERSION.so
# are installed. It differs from that of 8.2 by the number alone.
php_package() {
  local version=$1 tree=build/php$1/package file
  bounded 300 cmake --preset release -B "build/php$version" -DPHP_CONFIG="$(command -v "php-config$version")" &&
    bounded 1800 cmake --build "build/php$version" --target paddock-php --parallel "$(nproc)" || return
  rm -rf "$tree"
  mkdir -p "$tree/debian" "$tree/build/release/bin"
  cp "build/php$version/bin/paddock-php$version" "build/php$version/bin/paddock-php$version.so" "$tree/build/release/bin/"
  cp -r debian/changelog debian/copyright debian/source "$tree/debian/"
  for file in debian/paddock-php8.2.*; do
    sed "s/8\.2/$version/g" "$file" >"$tree/${file/8.2/"$version"}"
  done
  awk -v RS= -v ORS='\n\n' '
    /^Source:/ { sub(/\nBuild-Depends:.*/, "\nBuild-Depends: debhelper-compat (= 13)"); print }
    /^Package: paddock-php8\.2\n/ { gsub(/8\.2/, version)
      sub(/\nDescription/, "\nBreaks: paddock (<< ${binary:Version}), paddock (>> ${binary:Version})\nDescription"); print }' version="$version" debian/control >"$tree/debian/control"
  sed -n '1p; /^override_dh_auto_test/p' debian/rules >"$tree/debian/rules"
  printf '%%:\n\tdh $@\noverride_dh_auto_configure override_dh_auto_build:\noverride_dh_builddeb:\n\tdh_builddeb --destdir=%s\n' \
    "$PWD/$packages" >>"$tree/debian/rules"
  chmod 755 "$tree/debian/rules"
  (cd "$tree" && debian/rules binary)
}

# PADDOCK_PHP: the further versions, as "8.3 8.4".
build_php_packages() {
  local version
  for version in ${PADDOCK_PHP:-}; do
    php_package "$version" || return
  done
}

# What lintian says is an error here; what is none to us is named in debian/*.lintian-overrides. Paddock has no mail
# domain of its own.
check_packages() {
  lintian --allow-root --fail-on error,warning --tag-display-limit 0 \
    --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$packages"/*.deb
}

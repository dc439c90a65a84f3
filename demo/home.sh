# shellcheck shell=bash
# A home as hosts have them: Apache may pass, nobody may list, and what PHP reads nobody else can.

# close_home ACCOUNT DIRECTORY
close_home() {
  local name=$1 home=$2
  chown -R "$name:$name" "$home"
  find "$home" -type d -exec chmod 711 {} +
  find "$home" -type f -exec chmod 644 {} +
  find "$home" -type f -name '*.php' -exec chmod 600 {} +
  chmod 701 "$home"
}

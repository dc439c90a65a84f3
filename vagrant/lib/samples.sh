# shellcheck shell=bash
# The sample tenants of the Vagrant machine: a CMS, a broken site, a hostile one; Apache's part; the way to the
# dashboard. For provision.sh, from the folder vagrant. Each function leaves alone what is there already.

# shellcheck source=demo/home.sh
source ../demo/home.sh
samples=(wiki broken hostile)
samples_changed=no

# put FILE [MODE]: standard input, where it differs from what the file has.
put() {
  local file=$1 mode=${2:-644} content
  content=$(cat; echo .)
  content=${content%.}
  if [[ ! -e $file || "$(cat "$file"; echo .)" != "$content." ]]; then
    printf '%s' "$content" >"$file"
    samples_changed=yes
    echo "wrote $file"
  fi
  chmod "$mode" "$file"
}

# What somebody wrote into the wiki stays.
install_wiki() {
  local home=/home/wiki
  [[ ! -e $home/public_html/doku.php ]] || return 0
  ../demo/dokuwiki fetch
  mkdir -p /var/lib/paddock-machine
  (umask 077 && head -c 9 /dev/urandom | base64 | tr '+/' 'ab' >/var/lib/paddock-machine/wiki-password)
  ../demo/dokuwiki install "$home/public_html" "$(</var/lib/paddock-machine/wiki-password)"
  close_home wiki "$home"
}

install_site() {
  local name=$1 home=/home/$1 file
  mkdir -p "$home/public_html"
  for file in "sites/$name"/*; do put "$home/public_html/${file##*/}" <"$file"; done
  close_home "$name" "$home"
}

# The limits are small, so that a visitor need not wait for them.
samples_tenants() {
  put /etc/paddock/tenants.d/wiki.toml 640 <<'FILE'
[tenant.wiki]
FILE
  put /etc/paddock/tenants.d/broken.toml 640 <<'FILE'
[plan.broken]
inherits = "default"
workers = 2
deadline = "5s"

[plan.broken.php_admin_value]
memory_limit = "64M"

[tenant.broken]
plan = "broken"
FILE
  put /etc/paddock/tenants.d/hostile.toml 640 <<'FILE'
[plan.hostile]
inherits = "default"
workers = 2
queue = 2
queue_time = "3s"
deadline = "15s"
cpu = "50%"
memory_high = "max"
memory_max = "96M"
swap_max = 0
pids = 32

[plan.hostile.php_admin_value]
memory_limit = "48M"

[tenant.hostile]
plan = "hostile"
FILE
}

samples_hosts() {
  local name
  printf 'ServerName paddock\n\n'
  for name in "${samples[@]}"; do
    cat <<FILE
<VirtualHost *:80>
  ServerName $name.localhost
  DocumentRoot /home/$name/public_html
  DirectoryIndex index.php doku.php
  PaddockTenant $name
  <Directory /home/$name/public_html>
    AllowOverride All
    Options SymLinksIfOwnerMatch
    Require all granted
  </Directory>
</VirtualHost>

FILE
  done
  # The dashboard itself listens on 127.0.0.1, where what VirtualBox forwards does not come in.
  cat <<'FILE'
Listen 9181
<VirtualHost *:9181>
  ProxyPreserveHost On
  ProxyPass / http://127.0.0.1:9180/ flushpackets=on
</VirtualHost>
FILE
}

samples_install() {
  local name
  for name in "${samples[@]}"; do
    getent passwd "$name" >/dev/null || useradd --create-home --skel /nonexistent --shell /usr/sbin/nologin "$name"
    grep -qs " $name.localhost" /etc/hosts || echo "127.0.0.1 $name.localhost" >>/etc/hosts
  done
  install_wiki
  install_site broken
  install_site hostile
  samples_changed=no # sites' files are nothing to reload for
  samples_tenants
  [[ $samples_changed == no ]] || paddock reload
  put /var/www/html/index.html <sites/front/index.html
  a2enmod --quiet proxy proxy_http proxy_fcgi # the last for sites by `paddock vhost`
  samples_hosts | put /etc/apache2/sites-available/samples.conf
  a2ensite --quiet samples
  [[ $samples_changed == no ]] || { apache2ctl configtest && systemctl reload apache2; }
}

# What is announced is known to work.
samples_check() {
  local name page tries
  for name in "${samples[@]}"; do
    page=''
    for ((tries = 0; tries < 30; ++tries)); do
      page=$(curl --silent --fail --location --max-time 60 "http://$name.localhost/") && break
      sleep 1
    done
    [[ -n $page ]] || { echo "http://$name.localhost/ does not answer; journalctl -u paddock -u apache2" >&2; return 1; }
  done
  curl --silent --fail --max-time 60 --output /dev/null --header 'Host: localhost:9180' http://127.0.0.1:9181/ ||
    { echo 'the dashboard does not answer' >&2; return 1; }
  paddock status
  cat <<FILE

From your own machine:
  http://wiki.localhost:8080/     log in as admin, password $(</var/lib/paddock-machine/wiki-password)
  http://broken.localhost:8080/   http://hostile.localhost:8080/
  http://localhost:9180/          the dashboard; its token: vagrant ssh -c 'sudo cat /var/lib/paddock/dashboard.first-token'
FILE
}

#include "cli/vhost.h"

#include <catch2/catch.hpp>

using namespace paddock;
using namespace paddock::cli;

namespace {

const control::Socket kSocket{"alice", "/run/paddock/sockets/alice-0123.sock", 300'000, 10'000};

bool has(const std::string &text, const char *part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("Apache's lines match files and outlast the plan") {
  const std::string lines = vhost_lines({"alice"}, kSocket);
  CHECK(has(lines, "<FilesMatch \"\\.php$\">\n"));
  CHECK(has(lines, "SetHandler \"proxy:unix:/run/paddock/sockets/alice-0123.sock|fcgi://alice\"\n"));
  CHECK(has(lines, "<Proxy \"unix:/run/paddock/sockets/alice-0123.sock|fcgi://alice\">\n"));
  CHECK(has(lines, "ProxySet timeout=320 flushpackets=on\n"));
  CHECK(has(lines, "ProxyFCGIBackendType FPM\n"));
  CHECK(has(lines, "CGIPassAuth On\n"));
  CHECK_FALSE(has(lines, "VirtualHost"));
  CHECK_FALSE(has(lines, "enablereuse"));
  control::Socket endless = kSocket;
  endless.deadline_ms = 0;
  CHECK(has(vhost_lines({"alice"}, endless), "timeout=86400 "));
}

TEST_CASE("a whole virtual host") {
  const std::string lines =
      vhost_lines({"alice", "apache", "example.org", "/home/alice/public html"}, kSocket);
  CHECK(
      has(lines,
          "<VirtualHost *:80>\n    ServerName example.org\n    DocumentRoot \"/home/alice/public html\"\n"));
  CHECK(has(lines, "        Options SymLinksIfOwnerMatch\n"));
  CHECK(has(lines, " Nonfatal=Unknown\n"));
  CHECK(has(lines, "</VirtualHost>\n"));
  const std::string nginx = vhost_lines({"alice", "nginx", "example.org", "/home/alice/www"}, kSocket);
  CHECK(has(nginx, "    server_name example.org;\n    root \"/home/alice/www\";\n"));
  CHECK(has(nginx, "fastcgi_pass unix:/run/paddock/sockets/alice-0123.sock;\n"));
  CHECK(has(nginx, "try_files $fastcgi_script_name =404;\n"));
  CHECK(has(nginx, "fastcgi_read_timeout 320s;\n"));
  CHECK_FALSE(has(vhost_lines({"alice", "nginx"}, kSocket), "server {"));
}

TEST_CASE("other kinds than PHP") {
  control::Socket socket = kSocket;
  for (const char *kind : {"cgi", "fastcgi"}) {
    socket.kind = kind;
    const std::string apache = vhost_lines({"alice"}, socket);
    CHECK(has(apache, "# Programs of Paddock's tenant alice."));
    CHECK(has(apache, "<FilesMatch \"\\.(?:cgi|fcgi|pl|py|rb)$\">\n"));
    CHECK(has(apache, "</FilesMatch>\n"));
    CHECK(has(vhost_lines({"alice", "nginx"}, socket), "location ~ [^/]\\.(?:cgi|fcgi|pl|py|rb)(/|$) {\n"));
  }
  socket.kind = "command";
  const std::string apache = vhost_lines({"alice"}, socket);
  CHECK(has(apache, "<Location \"/\">\n"));
  CHECK(has(apache, "</Location>\n"));
  CHECK_FALSE(has(apache, "FilesMatch"));
  const std::string nginx = vhost_lines({"alice", "nginx"}, socket);
  CHECK(has(nginx, "location / {\n"));
  CHECK_FALSE(has(nginx, "try_files"));
}

TEST_CASE("names and paths cannot smuggle in directives") {
  CHECK(vhost_problem({"alice", "apache", "", ""}).empty());
  CHECK(vhost_problem({"alice", "apache", "*.example.org", "/home/alice/www"}).empty());
  for (const char *name : {"a b", "a\nRequire all granted", "a;", "a\"", "ä.org", "a{"})
    CHECK_FALSE(vhost_problem({"alice", "apache", name, ""}).empty());
  for (const char *docroot : {"www", "/home/../etc", "/a\"b", "/a\nb", "/${HOME}", "/a%{x}", "/a\\b", "/a$b"})
    CHECK_FALSE(vhost_problem({"alice", "apache", "", docroot}).empty());
}

#include "network/interface.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "base/ipv4.h"

#include "network/probe.h"

using namespace paddock;
using namespace paddock::network;

namespace {

TenantLink example() {
  TenantLink link;
  link.interface = "paddock-2";
  link.tenant = "alice";
  link.group = 0x40000007;
  link.address = parse_ipv4("10.213.0.2").value();
  link.gateway = parse_ipv4("10.213.0.1").value();
  return link;
}

int say(const Error &error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return 1;
}

// A datagram from the namespace that the caller is in.
bool send_to(const char *address, std::size_t bytes) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  ::inet_pton(AF_INET, address, &to.sin_addr);
  const std::string payload(bytes, 'x');
  return ::sendto(socket.get(), payload.data(), bytes, 0, reinterpret_cast<const sockaddr *>(&to),
                  sizeof to) == static_cast<ssize_t>(bytes);
}

}  // namespace

TEST_CASE("a link joins a namespace of its own to the host, is counted, and goes with it") {
  if (::geteuid() != 0) return;
  const int status = in_private_network(
      [](void *) {
        auto made = make_tenant_link(example());
        if (!made) return say(made.error());
        const auto found = find_interfaces();
        if (!found) return say(found.error());
        if (found->size() != 1 || found->front().name != "paddock-2" || found->front().tenant != "alice")
          return 2;
        const auto before = traffic_of("paddock-2");
        if (!before) return say(before.error());
        // Back here each time: the caller's own namespace.
        if (::setns(made->get(), CLONE_NEWNET) != 0) return 3;
        if (::if_nametoindex("paddock-2") != 0 || ::if_nametoindex("eth0") == 0) return 4;
        if (!send_to("10.213.0.1", 1000)) return 5;
        return 0;
      },
      nullptr);
  CHECK(status == 0);
}

TEST_CASE("one of the same name is replaced, and what was sent by it is counted") {
  if (::geteuid() != 0) return;
  const int status = in_private_network(
      [](void *) {
        auto first = make_tenant_link(example());
        if (!first) return say(first.error());
        auto second = make_tenant_link(example());
        if (!second) return say(second.error());
        if (find_interfaces().value().size() != 1) return 2;
        if (!send_to("10.213.0.2", 1000)) return 3;
        if (traffic_of("paddock-3")) return 4;
        // With the headers, and whoever asks for the address first.
        for (int i = 0; i < 1000; ++i) {
          const auto traffic = traffic_of("paddock-2");
          if (!traffic) return say(traffic.error());
          if (traffic->received_bytes >= 1042) return traffic->received_bytes < 10'000 ? 0 : 5;
          ::usleep(10'000);
        }
        return 6;
      },
      nullptr);
  CHECK(status == 0);
}

TEST_CASE("the kernel has what networks need") {
  if (::geteuid() != 0) return;
  const auto done = probe_kernel();
  INFO((done ? std::string() : done.error().message()));
  CHECK(done);
}

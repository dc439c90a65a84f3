// What the gateway does at the supervisor's word: watches, wakes, refuses.
#include "fcgi_gateway/test_gateway.h"

using namespace paddock;
using namespace paddock::fcgi_gateway::testing;

TEST_CASE("the gateway ends when the supervisor does") {
  GatewayProcess gateway;
  gateway.link().close();
  const auto status = gateway.wait();
  REQUIRE(status);
  CHECK(status->success());
}

TEST_CASE("the gateway has no privileges left") {
  const GatewayProcess gateway;
  CHECK(gateway.status_field("NoNewPrivs") == "1");
  for (const char *set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    CHECK(gateway.status_field(set) == "0000000000000000");
  const auto limits = read_file("/proc/" + std::to_string(gateway.child().pid()) + "/limits");
  REQUIRE(limits.ok());
  std::istringstream lines(*limits);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(std::min<std::size_t>(line.size(), 26)));
    std::string soft;
    std::string hard;
    words >> soft >> hard;
    if (line.starts_with("Max core file size")) CHECK((soft == "0" && hard == "0"));
    if (line.starts_with("Max open files")) CHECK(soft == hard);
  }
}

TEST_CASE("a watched socket wakes once, and keeps its connection for the sandbox") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  gateway.add(7, socket, Mode::kWatch);
  gateway.settle();

  const UniqueFd first = connect_to(directory / "s");
  send_text(first, "hello");
  const auto wake = gateway.next<gateway_link::Wake>(2s);
  REQUIRE(wake);
  CHECK(wake->tenant == 7);
  const UniqueFd second = connect_to(directory / "s");
  CHECK_FALSE(gateway.next<gateway_link::Wake>(300ms));

  const UniqueFd accepted(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  std::array<char, 8> bytes{};
  CHECK(::recv(accepted.get(), bytes.data(), bytes.size(), 0) == 5);

  // The second still waits: watching anew says so at once.
  gateway.set_mode(7, Mode::kLeased);
  gateway.set_mode(7, Mode::kWatch);
  const auto again = gateway.next<gateway_link::Wake>(2s);
  REQUIRE(again);
  CHECK(again->tenant == 7);
  // And so does watching what was watched already.
  gateway.set_mode(7, Mode::kWatch);
  CHECK(gateway.next<gateway_link::Wake>(2s));
}

TEST_CASE("a leased socket costs the gateway nothing") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  gateway.add(1, socket, Mode::kLeased);
  gateway.settle();
  // Its last reaction (to settle()'s RemoveTenant) may still be under way.
  std::this_thread::sleep_for(100ms);
  const std::string before = gateway.status_field("voluntary_ctxt_switches");
  for (int i = 0; i < 200; ++i) {
    const UniqueFd client = connect_to(directory / "s");
    const UniqueFd accepted(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(accepted.valid());
  }
  std::this_thread::sleep_for(50ms);
  CHECK(gateway.status_field("voluntary_ctxt_switches") == before);
  CHECK_FALSE(gateway.next<gateway_link::Wake>(1ms));
}

TEST_CASE("a refused request gets status, headers and page, and is counted") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  // It waits before the refusal begins.
  const UniqueFd early = connect_to(directory / "s");
  REQUIRE(send_text(early, request_head() + stdin_end()));
  gateway.add(3, socket, Mode::kRefuse, kBlocked);
  Answer answer = read_answer(early, 4s);
  for (int i = 0; i < 4; ++i) {
    CHECK(answer.ended);
    CHECK(answer.closed);
    CHECK(answer.protocol_status == 0);
    CHECK(
        answer.out ==
        "Status: 503 Service Unavailable\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 15\r\n"
        "Cache-Control: no-store\r\nRetry-After: 30\r\nX-Paddock-Reason: blocked\r\n\r\n<p>Blocked.</p>");
    answer = ask(directory / "s");
  }
  std::uint64_t counted = 0;
  while (counted < 5) {
    const auto refused = gateway.next<gateway_link::Refused>(3s);
    REQUIRE(refused);
    CHECK(refused->tenant == 3);
    counted += refused->requests;
  }
  CHECK(counted == 5);
  CHECK_FALSE(gateway.next<gateway_link::Refused>(1200ms));

  SECTION("the refusal can change") {
    gateway.set_mode(3, Mode::kRefuse, {403, 0, "frozen", ""});
    gateway.settle();
    const Answer changed = ask(directory / "s");
    CHECK(changed.out.starts_with("Status: 403 Forbidden\r\n"));
    CHECK(changed.out.find("Retry-After") == std::string::npos);
    CHECK(changed.out.find("X-Paddock-Reason: frozen\r\n") != std::string::npos);
    CHECK(changed.out.find("<h1>403 Forbidden</h1>") != std::string::npos);
  }
  SECTION("and end") {
    gateway.set_mode(3, Mode::kWatch);
    gateway.settle();
    const UniqueFd client = connect_to(directory / "s");
    CHECK(gateway.next<gateway_link::Wake>(2s));
  }
  SECTION("figures that are not reported yet come before the tenant goes") {
    CHECK(ask(directory / "s").ended);
    REQUIRE(gateway.link().send(gateway_link::RemoveTenant{3}).ok());
    const auto refused = gateway.next<gateway_link::Refused>(500ms);
    REQUIRE(refused);
    CHECK(refused->requests == 1);
  }
}

TEST_CASE("an upload is refused before it has begun, and may go on to its end") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  gateway.add(1, socket, Mode::kRefuse, kBlocked);
  const UniqueFd client = connect_to(directory / "s");
  REQUIRE(send_text(client, request_head()));
  const Answer answer = read_answer(client, 4s, false);
  CHECK(answer.ended);
  CHECK(answer.out.ends_with("<p>Blocked.</p>"));

  std::string body;
  fastcgi::append_record(body, fastcgi::Type::kStdin, 1, std::string(60'000, 'x'));
  SECTION("32 MiB") {
    for (int i = 0; i < 560; ++i) REQUIRE(send_text(client, body));
    CHECK_FALSE(wait_readable(client, 50ms));  // not closed before the empty STDIN
    REQUIRE(send_text(client, stdin_end()));
    CHECK(read_answer(client, 4s).closed);
  }
  SECTION("but not without end") {
    const auto start = Clock::now();
    bool open = true;
    for (int i = 0; i < 1'300 && open; ++i) open = send_text(client, body);
    CHECK_FALSE(open);
    CHECK(Clock::now() - start < 10s);
  }
}

TEST_CASE("params that are too long are refused as well, and thrown away") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  gateway.add(1, socket, Mode::kRefuse, kBlocked);
  std::string request;
  fastcgi::append_begin_request(request, 1, fastcgi::Role::kResponder, 0);
  std::string params;
  fastcgi::append_param(params, "HTTP_COOKIE", std::string(500'000, 'c'));
  fastcgi::append_record(request, fastcgi::Type::kParams, 1, params);
  fastcgi::append_record(request, fastcgi::Type::kParams, 1, {});
  const UniqueFd client = connect_to(directory / "s");
  REQUIRE(send_text(client, request + stdin_end()));
  const Answer answer = read_answer(client, 4s, false);
  CHECK(answer.ended);
  CHECK(answer.out.starts_with("Status: 503"));
}

TEST_CASE("clients that send slowly, nothing, or half a request are closed after their time") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  gateway.add(1, socket, Mode::kRefuse, kBlocked);
  const UniqueFd silent = connect_to(directory / "s");
  const UniqueFd half = connect_to(directory / "s");
  REQUIRE(send_text(half, request_head().substr(0, 20)));
  const UniqueFd slow = connect_to(directory / "s");
  const auto start = Clock::now();
  bool slow_open = true;
  // At 70 ms a byte the request would take longer than the gateway gives it.
  const std::string request = request_head() + stdin_end();
  for (std::size_t i = 0; i < request.size() && slow_open; ++i) {
    slow_open = send_text(slow, request.substr(i, 1));
    if (i == 50) CHECK(ask(directory / "s").ended);  // nobody else waits for them
    std::this_thread::sleep_for(70ms);
  }
  CHECK_FALSE(slow_open);
  for (const UniqueFd *client : {&silent, &half}) {
    const Answer answer = read_answer(*client, 7s);
    CHECK(answer.closed);
    CHECK_FALSE(answer.ended);
  }
  CHECK(Clock::now() - start >= 4'900ms);
  CHECK(Clock::now() - start < 9s);
}

TEST_CASE("a client that sends byte by byte but in time is answered") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  gateway.add(1, socket, Mode::kRefuse, kBlocked);
  const UniqueFd client = connect_to(directory / "s");
  for (const char c : request_head() + stdin_end()) REQUIRE(send_text(client, {&c, 1}));
  const Answer answer = read_answer(client, 4s);
  CHECK(answer.ended);
  CHECK(answer.closed);
}

TEST_CASE("a client may vanish at any byte") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  gateway.add(1, socket, Mode::kRefuse, kBlocked);
  CHECK(ask(directory / "s").ended);
  const std::size_t before = gateway.descriptors();
  const std::string request = request_head() + stdin_end();
  for (std::size_t size = 0; size <= request.size(); ++size) {
    const UniqueFd client = connect_to(directory / "s");
    REQUIRE(send_text(client, std::string_view(request).substr(0, size)));
  }
  CHECK(ask(directory / "s").ended);
  for (int i = 0; i < 100 && gateway.descriptors() != before; ++i) std::this_thread::sleep_for(20ms);
  CHECK(gateway.descriptors() == before);
}

TEST_CASE("what is no responder's request is answered as the specification says") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  gateway.add(1, socket, Mode::kRefuse, kBlocked);
  const UniqueFd client = connect_to(directory / "s");

  SECTION("another role") {
    REQUIRE(send_text(client, request_head(fastcgi::Role::kAuthorizer)));
    const Answer answer = read_answer(client, 4s, false);
    CHECK(answer.ended);
    CHECK(answer.protocol_status == static_cast<std::uint8_t>(fastcgi::ProtocolStatus::kUnknownRole));
  }
  SECTION("GET_VALUES and a type that does not exist, then a request") {
    std::string values;
    fastcgi::append_param(values, "FCGI_MPXS_CONNS", "");
    std::string records;
    fastcgi::append_record(records, fastcgi::Type::kGetValues, 0, values);
    fastcgi::append_record(records, static_cast<fastcgi::Type>(77), 0, "x");
    REQUIRE(send_text(client, records + request_head() + stdin_end()));
    const Answer answer = read_answer(client, 4s);
    CHECK(answer.ended);
    REQUIRE(answer.others.size() == 2);
    CHECK(answer.others[0].first == static_cast<std::uint8_t>(fastcgi::Type::kGetValuesResult));
    CHECK(answer.others[1].first == static_cast<std::uint8_t>(fastcgi::Type::kUnknownType));
    CHECK(answer.others[1].second[0] == 77);
  }
  SECTION("bytes that are no FastCGI") {
    REQUIRE(send_text(client, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"));
    const Answer answer = read_answer(client, 4s);
    CHECK(answer.closed);
    CHECK_FALSE(answer.ended);
  }
  CHECK(ask(directory / "s").ended);
}

TEST_CASE("one tenant's silent clients leave room for the others") {
  raise_own_descriptor_limit();
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd crowded = listen_at(directory / "crowded");
  const UniqueFd quiet = listen_at(directory / "quiet");
  gateway.add(1, crowded, Mode::kRefuse, kBlocked);
  gateway.add(2, quiet, Mode::kRefuse, kBlocked);
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 300; ++i) silent.push_back(connect_to(directory / "crowded"));
  const auto start = Clock::now();
  CHECK(ask(directory / "quiet").ended);
  CHECK(Clock::now() - start < 1s);
  CHECK(gateway.descriptors() < 200);
  // Those in the backlog come to their turn as the first go.
  const UniqueFd patient = connect_to(directory / "crowded");
  REQUIRE(send_text(patient, request_head() + stdin_end()));
  silent.clear();
  CHECK(read_answer(patient, 4s).ended);
}

TEST_CASE("another process that accepts beside the gateway cannot hold it up") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd shared = listen_at(directory / "shared");
  const UniqueFd other = listen_at(directory / "other");
  gateway.add(1, shared, Mode::kRefuse, kBlocked);
  gateway.add(2, other, Mode::kRefuse, kBlocked);
  gateway.settle();
  std::atomic<bool> stop = false;
  std::atomic<int> stolen = 0;
  std::thread thief([&] {
    while (!stop) {
      const UniqueFd fd(::accept4(shared.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (fd.valid()) ++stolen;
    }
  });
  int answered = 0;
  for (int i = 0; i < 400; ++i) {
    const UniqueFd client = connect_to(directory / "shared");
    send_text(client, request_head() + stdin_end());
    if (read_answer(client, 4s).ended) ++answered;
    if (i % 40 == 0) {
      const auto start = Clock::now();
      CHECK(ask(directory / "other").ended);
      CHECK(Clock::now() - start < 1s);
    }
  }
  stop = true;
  while (stolen + answered < 401) {
    const UniqueFd last = connect_to(directory / "shared");
    const int before = stolen;
    for (int i = 0; i < 100 && stolen == before; ++i) std::this_thread::sleep_for(10ms);
    if (stolen != before) break;
  }
  thief.join();
  CHECK(stolen > 0);
}

TEST_CASE("a socket that somebody has shut down does not keep the gateway busy") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd refused = listen_at(directory / "refused");
  const UniqueFd watched = listen_at(directory / "watched");
  const UniqueFd other = listen_at(directory / "other");
  gateway.add(1, refused, Mode::kRefuse, kBlocked);
  gateway.add(2, watched, Mode::kWatch);
  gateway.add(3, other, Mode::kRefuse, kBlocked);
  gateway.settle();
  REQUIRE(::shutdown(refused.get(), SHUT_RDWR) == 0);
  REQUIRE(::shutdown(watched.get(), SHUT_RDWR) == 0);
  CHECK_FALSE(gateway.next<gateway_link::Wake>(100ms));
  const auto before = gateway.cpu_time();
  std::this_thread::sleep_for(500ms);
  CHECK(gateway.cpu_time() - before < 100ms);
  CHECK(ask(directory / "other").ended);
}

TEST_CASE("without descriptors, refusals wait and then go on") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  gateway.add(1, socket, Mode::kRefuse, kBlocked);
  CHECK(ask(directory / "s").ended);
  const auto limit = static_cast<rlim_t>(gateway.descriptors() + 3);
  const rlimit low{limit, limit};
  REQUIRE(::prlimit(gateway.child().pid(), RLIMIT_NOFILE, &low, nullptr) == 0);
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 10; ++i) silent.push_back(connect_to(directory / "s"));
  std::this_thread::sleep_for(300ms);
  const auto before = gateway.cpu_time();
  std::this_thread::sleep_for(500ms);
  CHECK(gateway.cpu_time() - before < 100ms);
  silent.clear();
  CHECK(ask(directory / "s").ended);
}

TEST_CASE("a supervisor that does not read loses no message") {
  raise_own_descriptor_limit();
  const PrivateDirectory directory;
  GatewayProcess gateway;
  constexpr std::uint32_t kTenants = 800;
  std::vector<UniqueFd> sockets;
  for (std::uint32_t i = 0; i < kTenants; ++i) {
    sockets.push_back(listen_at(directory / std::to_string(i)));
    gateway.add(i, sockets.back(), Mode::kLeased);
  }
  gateway.settle();
  std::vector<UniqueFd> clients;
  for (std::uint32_t i = 0; i < kTenants; ++i) clients.push_back(connect_to(directory / std::to_string(i)));
  // More wake-ups than the link's buffer holds (208 KiB at most 300 packets).
  for (std::uint32_t i = 0; i < kTenants; ++i) gateway.set_mode(i, Mode::kWatch);
  std::this_thread::sleep_for(300ms);
  std::set<std::uint32_t> woken;
  while (woken.size() < kTenants) {
    const auto wake = gateway.next<gateway_link::Wake>(3s);
    REQUIRE(wake);
    CHECK(woken.insert(wake->tenant).second);
  }
  CHECK_FALSE(gateway.next<gateway_link::Wake>(100ms));
  CHECK(gateway.descriptors() >= kTenants);
  for (std::uint32_t i = 0; i < kTenants; ++i)
    REQUIRE(gateway.link().send(gateway_link::RemoveTenant{i}).ok());
  gateway.settle();
  CHECK(gateway.descriptors() < 20);
}

TEST_CASE("a message that no supervisor sends ends the gateway") {
  const PrivateDirectory directory;
  GatewayProcess gateway;
  const UniqueFd socket = listen_at(directory / "s");
  const std::vector fds{socket.borrow()};

  SECTION("no message at all") {
    const std::array<std::uint8_t, 5> garbage{1, 2, 3, 4, 5};
    REQUIRE(gateway.link().send_bytes(garbage).ok());
  }
  SECTION("of a type that is not for it") {
    REQUIRE(gateway.link().send(gateway_link::Wake{1}).ok());
  }
  SECTION("cut short") {
    auto packet = wire::encode(gateway_link::AddTenant{1, "a", Mode::kWatch, {}});
    packet.pop_back();
    const auto length = static_cast<std::uint32_t>(packet.size() - wire::kHeaderSize);
    std::memcpy(packet.data() + 4, &length, sizeof length);
    REQUIRE(gateway.link().send_bytes(packet, fds).ok());
  }
  SECTION("a tenant without a socket") {
    REQUIRE(gateway.link().send(gateway_link::AddTenant{1, "a", Mode::kWatch, {}}).ok());
  }
  SECTION("a tenant with two") {
    const std::vector two{socket.borrow(), socket.borrow()};
    REQUIRE(gateway.link().send(gateway_link::AddTenant{1, "a", Mode::kWatch, {}}, two).ok());
  }
  SECTION("a socket that does not listen") {
    const UniqueFd client = connect_to(directory / "s");
    gateway.add(1, client, Mode::kWatch);
  }
  SECTION("no socket but a file") {
    const auto null = open_file("/dev/null", O_RDONLY);
    REQUIRE(null.ok());
    gateway.add(1, *null, Mode::kWatch);
  }
  SECTION("a tenant twice") {
    gateway.add(1, socket, Mode::kLeased);
    gateway.add(1, socket, Mode::kLeased);
  }
  SECTION("a tenant that was never added") {
    gateway.set_mode(9, Mode::kWatch);
  }
  SECTION("nobody to remove") {
    REQUIRE(gateway.link().send(gateway_link::RemoveTenant{9}).ok());
  }
  SECTION("a mode that does not exist") {
    gateway.add(1, socket, static_cast<Mode>(9));
  }
  SECTION("a refusal that refuses nothing") {
    gateway.add(1, socket, Mode::kRefuse, {200, 0, "x", ""});
  }
  SECTION("a page that is too long") {
    gateway.add(1, socket, Mode::kRefuse, {503, 0, "x", std::string(fcgi_gateway::kMaxPage + 1, 'p')});
  }
  const auto status = gateway.wait();
  REQUIRE(status);
  CHECK_FALSE(status->signaled);
  CHECK(status->code == 1);
}

TEST_CASE("a reason cannot add a header") {
  const auto response = fcgi_gateway::refusal_response({503, 0, "a\r\nSet-Cookie: b", "p"});
  REQUIRE(response.ok());
  CHECK(response->text.find("X-Paddock-Reason: a--Set-Cookie--b\r\n\r\np") != std::string::npos);
  CHECK(response->reason == "a--Set-Cookie--b");
  CHECK(fcgi_gateway::refusal_response({503, 0, "", ""})->text.find("X-Paddock-Reason: unspecified\r\n") !=
        std::string::npos);
}

TEST_CASE("the reason header can be left out") {
  const auto response = fcgi_gateway::refusal_response({503, 0, "why", "p", false});
  REQUIRE(response.ok());
  CHECK(response->text.find("Paddock") == std::string::npos);
  CHECK(response->reason == "why");
}

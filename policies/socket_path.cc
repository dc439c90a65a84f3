#include "policies/socket_path.h"

#include <fcntl.h>
#include <nettle/hmac.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"

namespace paddock::policies {
namespace {

constexpr std::size_t kDigits = 32;

std::string key_path(const std::string &state_dir) {
  return state_dir + "/socket.key";
}

std::string prefix(const Runtime &runtime) {
  return runtime.run_dir + "/sockets/";
}

Result<SocketKey> make_key() {
  SocketKey key;
  std::size_t filled = 0;
  while (filled < key.size()) {
    const ssize_t got = ::getrandom(key.data() + filled, key.size() - filled, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error("getrandom");
    filled += static_cast<std::size_t>(got);
  }
  return key;
}

// Writes the key under a name of its own and links it to the real one: the link either makes the whole file
// or fails.
Result<void> create_key(const std::string &state_dir) {
  PADDOCK_TRY(const SocketKey key, make_key());
  std::string temporary = key_path(state_dir) + ".XXXXXX";
  UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return errno_error("create " + temporary);
  const std::string_view bytes(reinterpret_cast<const char *>(key.data()), key.size());
  auto written = write_all(fd, bytes);
  if (written && ::fsync(fd.get()) != 0) written = errno_error("fsync");
  if (written && ::link(temporary.c_str(), key_path(state_dir).c_str()) != 0 && errno != EEXIST)
    written = errno_error("link");
  ::unlink(temporary.c_str());
  if (!written) return errno_error("create " + key_path(state_dir), written.error().code);
  return {};
}

}  // namespace

Result<SocketKey> load_socket_key(const std::string &state_dir) {
  const std::string path = key_path(state_dir);
  // O_NONBLOCK: a FIFO in its place would hold us in open().
  PADDOCK_TRY(const UniqueFd fd, open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno_error("stat " + path);
  const bool ours = status.st_uid == 0 || status.st_uid == ::geteuid();
  if (!S_ISREG(status.st_mode) || (status.st_mode & 077) != 0 || !ours)
    return errno_error("use " + path + " (must be a regular file of root's with mode 0600)", EPERM);
  SocketKey key;
  PADDOCK_TRY(const std::string bytes, read_all(fd, 4096));
  if (bytes.size() != key.size()) return errno_error("use " + path + " (must hold 32 bytes)", EINVAL);
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

Result<SocketKey> load_or_create_socket_key(const std::string &state_dir) {
  auto key = load_socket_key(state_dir);
  if (key || key.error().code != ENOENT) return key;
  PADDOCK_CHECK(create_key(state_dir));
  return load_socket_key(state_dir);
}

std::string socket_path(const Runtime &runtime, const SocketKey &key, std::string_view tenant) {
  hmac_sha256_ctx context;
  hmac_sha256_set_key(&context, key.size(), key.data());
  hmac_sha256_update(&context, tenant.size(), reinterpret_cast<const std::uint8_t *>(tenant.data()));
  std::array<std::uint8_t, kDigits / 2> digest{};
  hmac_sha256_digest(&context, digest.size(), digest.data());
  std::string path = prefix(runtime) + std::string(tenant) + "-";
  for (const std::uint8_t byte : digest)
    path += {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
  return path + ".sock";
}

std::string refusal_socket_path(const Runtime &runtime) {
  return prefix(runtime) + "refused.sock";  // no tenant's: those have 32 digits
}

std::string control_socket_path(const Runtime &runtime) {
  return runtime.run_dir + "/control.sock";
}

std::string shell_lock_path(const Runtime &runtime, std::string_view tenant) {
  return runtime.run_dir + "/shell-" + std::string(tenant) + ".lock";
}

int longest_name(const Runtime &runtime) {
  constexpr std::size_t kRoom = sizeof(sockaddr_un::sun_path) - 1;
  const std::size_t taken = prefix(runtime).size() + 1 + kDigits + std::string_view(".sock").size();
  return static_cast<int>(kRoom) - static_cast<int>(taken);
}

}  // namespace paddock::policies

#include "supervisor/tenant_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/unique_fd.h"

namespace paddock::supervisor {
namespace {

Result<UniqueFd> open_log(const std::string &path, gid_t readers) {
  PADDOCK_TRY(UniqueFd fd, open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0640));
  if (::fchown(fd.get(), 0, readers) != 0) return errno_error("chown " + path);
  return fd;
}

}  // namespace

Result<TenantLogs> open_tenant_logs(const policies::Runtime &runtime, const policies::Tenant &tenant,
                                    bool access) {
  TenantLogs logs;
  PADDOCK_TRY(logs.log, open_log(runtime.log_dir + "/tenants/" + tenant.name + ".log", tenant.gid));
  if (access) {
    PADDOCK_TRY(logs.access, open_log(runtime.log_dir + "/access/" + tenant.name + ".log", tenant.gid));
  } else {
    PADDOCK_TRY(logs.access, open_file("/dev/null", O_WRONLY));
  }
  return logs;
}

Result<std::string> read_tenant_log(const policies::Runtime &runtime, const std::string &tenant,
                                    std::size_t limit) {
  const std::string path = runtime.log_dir + "/tenants/" + tenant + ".log";
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid() && errno == ENOENT) return std::string();
  if (!fd.valid()) return errno_error("open " + path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno_error("look at " + path);
  if (!S_ISREG(status.st_mode)) return Error{path + " is no regular file"};
  const auto size = static_cast<std::size_t>(status.st_size);
  const std::size_t from = size > limit ? size - limit : 0;
  std::string text(size - from, '\0');
  const ssize_t got = ::pread(fd.get(), text.data(), text.size(), static_cast<off_t>(from));
  if (got < 0) return errno_error("read " + path);
  text.resize(static_cast<std::size_t>(got));
  const std::size_t line = from == 0 ? 0 : text.find('\n') + 1;  // none: all of it is one line that was cut
  text.erase(0, from > 0 && line == 0 ? text.size() : line);
  return text;
}

}  // namespace paddock::supervisor

#include "sandbox/etc_copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/file.h"

namespace paddock::sandbox {
namespace {

// What is in /etc of every sandbox, and for whom. Passwords and group lists are written for each tenant.
constexpr const char *kEtcFiles[] = {
    // glibc: names, services, locales, time
    "resolv.conf",
    "hosts",
    "host.conf",
    "nsswitch.conf",
    "gai.conf",
    "services",
    "protocols",
    "networks",
    "rpc",
    "ethertypes",
    "localtime",
    "timezone",
    "locale.conf",
    "locale.alias",
    "default/locale",
    // the dynamic linker, and programs that Debian selects through links
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    // TLS and Kerberos clients (keys are not readable by others, and so are not copied)
    "ssl",
    "ca-certificates",
    "ca-certificates.conf",
    "pki",
    "gnutls",
    "krb5.conf",
    "krb5.conf.d",
    "ldap/ldap.conf",
    // PHP's ini files, and what extensions and the usual helpers of web applications read
    "php",
    "mime.types",
    "magic",
    "magic.mime",
    "fonts",
    "ImageMagick-6",
    "ImageMagick-7",
    "ghostscript",
    "papersize",
    "odbc.ini",
    "odbcinst.ini",
    "freetds",
    "mysql",
    "perl",
    "python3",
    "python3.11",
    "java-17-openjdk",
    // which distribution this is; shells
    "os-release",
    "debian_version",
    "profile",
    "profile.d",
    "bash.bashrc",
    "inputrc",
    "shells",
    "terminfo",
};

constexpr std::size_t kMaxFile = 4 << 20;
constexpr int kMaxDepth = 12;

Result<void> copy_entry(const std::string &source, BorrowedFd directory, const std::string &name, int depth);

// Links to manual pages: most of what is in alternatives.
bool is_left_out(std::string_view name) {
  return name.ends_with(".gz");
}

Result<void> copy_file(const std::string &source, BorrowedFd directory, const std::string &name) {
  PADDOCK_TRY(const std::string bytes, read_file(source, kMaxFile));
  PADDOCK_TRY(const UniqueFd copy, open_at(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644));
  auto written = write_all(copy, bytes);
  if (!written) return errno_error("copy " + source + " into the base view", written.error().code);
  return {};
}

Result<void> copy_directory(const std::string &source, BorrowedFd directory, const std::string &name,
                            int depth) {
  if (depth > kMaxDepth) return errno_error("copy " + source + " into the base view: too deep", ELOOP);
  const std::unique_ptr<DIR, int (*)(DIR *)> listing(::opendir(source.c_str()), ::closedir);
  if (!listing) return errno_error("list " + source);
  if (::mkdirat(directory.get(), name.c_str(), 0755) != 0 && errno != EEXIST)
    return errno_error("make " + name + " in the base view");
  PADDOCK_TRY(const UniqueFd target, open_at(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  while (const dirent *entry = ::readdir(listing.get())) {
    const std::string child = entry->d_name;
    if (child == "." || child == ".." || is_left_out(child)) continue;
    std::string path = source;
    path.append("/").append(child);
    PADDOCK_CHECK(copy_entry(path, target, child, depth + 1));
  }
  return {};
}

Result<void> copy_link(const std::string &target, BorrowedFd directory, const std::string &name) {
  if (::symlinkat(target.c_str(), directory.get(), name.c_str()) != 0 && errno != EEXIST)
    return errno_error("link " + name + " in the base view");
  return {};
}

Result<void> copy_entry(const std::string &source, BorrowedFd directory, const std::string &name, int depth) {
  struct stat status {};
  if (::lstat(source.c_str(), &status) != 0) return {};
  std::string origin = source;
  if (S_ISLNK(status.st_mode)) {
    char target[PATH_MAX];
    const ssize_t length = ::readlink(source.c_str(), target, sizeof target);
    if (length < 0) return errno_error("read link " + source);
    const std::string text(target, static_cast<std::size_t>(length));
    // Into /usr, or beside it in a directory that is copied whole. Hundreds, in alternatives and ssl/certs.
    if (text.starts_with("/usr/") || (depth > 0 && text.find('/') == std::string::npos))
      return copy_link(text, directory, name);
    char resolved[PATH_MAX];
    if (::realpath(source.c_str(), resolved) == nullptr) return {};  // to nothing
    origin = resolved;
    if (origin.starts_with("/usr/")) return copy_link(origin, directory, name);
    if (::stat(resolved, &status) != 0) return errno_error("stat " + origin);
  }
  if (S_ISREG(status.st_mode) && (status.st_mode & S_IROTH) != 0) return copy_file(origin, directory, name);
  constexpr mode_t kListable = S_IROTH | S_IXOTH;
  if (S_ISDIR(status.st_mode) && (status.st_mode & kListable) == kListable)
    return copy_directory(origin, directory, name, depth);
  return {};
}

// `path` may have directories in it: those are made.
Result<void> copy_path(BorrowedFd etc, const std::string &path) {
  UniqueFd parent(::fcntl(etc.get(), F_DUPFD_CLOEXEC, 0));
  if (!parent.valid()) return errno_error("duplicate a descriptor");
  std::size_t start = 0;
  for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', start)) {
    const std::string name = path.substr(start, slash - start);
    if (name.empty() || name == "." || name == "..")
      return errno_error("copy /etc/" + path + " into the base view", EINVAL);
    if (::mkdirat(parent.get(), name.c_str(), 0755) != 0 && errno != EEXIST)
      return errno_error("make /etc/" + path.substr(0, slash) + " in the base view");
    PADDOCK_TRY(parent, open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    start = slash + 1;
  }
  return copy_entry("/etc/" + path, parent, path.substr(start), 0);
}

Result<void> check_present(const std::string &path) {
  struct stat status {};
  if (::stat(("/etc/" + path).c_str(), &status) != 0)
    return errno_error("copy /etc/" + path + " into the base view");
  return {};
}

}  // namespace

Result<void> copy_etc(BorrowedFd etc, const std::vector<std::string> &more) {
  for (const char *path : kEtcFiles) PADDOCK_CHECK(copy_path(etc, path));
  for (const auto &path : more) {
    PADDOCK_CHECK(check_present(path));
    PADDOCK_CHECK(copy_path(etc, path));
  }
  return {};
}

}  // namespace paddock::sandbox

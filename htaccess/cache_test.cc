#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "htaccess/htaccess_cache.h"
#include "htaccess/temporary_tree.h"

using namespace paddock;
using namespace paddock::htaccess;

namespace {

std::string value_of(const Result<Settings> &settings, const std::string &name) {
  if (!settings) return "error: " + settings.error().message();
  const Setting *setting = settings->values.find(name);
  return setting == nullptr ? "(not set)" : setting->value;
}

struct Site {
  TemporaryTree tree;
  HtaccessCache cache;

  explicit Site(CacheOptions options = {}) : cache({}, options) {}
  Result<Settings> settings(const std::string &script = "/probe.php") {
    return cache.settings(tree.path(), tree.path() + script, {});
  }
  std::string value(const std::string &script = "/probe.php") {
    return value_of(settings(script), "user_agent");
  }
};

// Times that any file system can tell from the present ones.
void make_old(const std::string &path) {
  const timespec times[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

}  // namespace

TEST_CASE("A change is seen at the next request") {
  Site site;
  CHECK(site.value() == "(not set)");
  site.tree.write(".htaccess", "php_value user_agent a\n");
  CHECK(site.value() == "a");
  site.tree.write(".htaccess", "php_value user_agent bcd\n");
  CHECK(site.value() == "bcd");
  std::filesystem::remove(site.tree.path() + "/.htaccess");
  CHECK(site.value() == "(not set)");
}

TEST_CASE("Writes of the same size within one tick of the clock are seen, each") {
  Site site;
  for (int i = 0; i < 500; ++i) {
    const std::string value = std::to_string(1000 + i);
    site.tree.write(".htaccess", "php_value user_agent " + value + "\n");
    REQUIRE(site.value() == value);
  }
}

TEST_CASE("A change whose mtime was set back is seen") {
  Site site;
  const std::string path = site.tree.path() + "/.htaccess";
  site.tree.write(".htaccess", "php_value user_agent a\n");
  make_old(path);
  CHECK(site.value() == "a");
  site.tree.write(".htaccess", "php_value user_agent b\n");
  make_old(path);
  CHECK(site.value() == "b");
}

TEST_CASE("A file that has aged is seen to change") {
  Site site;
  site.tree.write(".htaccess", "php_value user_agent a\n");
  CHECK(site.value() == "a");
  ::usleep(2'200'000);
  CHECK(site.value() == "a");
  CHECK(site.value() == "a");
  site.tree.write(".htaccess", "php_value user_agent b\n");
  CHECK(site.value() == "b");
}

TEST_CASE("A directory that takes another's place is seen") {
  Site site;
  site.tree.write("a/.htaccess", "php_value user_agent a\n");
  site.tree.write("b/.htaccess", "php_value user_agent b\n");
  CHECK(site.value("/a/probe.php") == "a");
  const std::filesystem::path root = site.tree.path();
  std::filesystem::rename(root / "a", root / "c");
  std::filesystem::rename(root / "b", root / "a");
  CHECK(site.value("/a/probe.php") == "b");
  CHECK(site.value("/c/probe.php") == "a");
}

TEST_CASE("A .htaccess that comes to be in a directory without one is seen, each time and however it comes") {
  Site site;
  const std::filesystem::path root = site.tree.path();
  site.tree.write("a/b/c/probe.php", "");
  site.tree.write("elsewhere/.htaccess", "php_value user_agent there\n");
  for (const char *directory : {"", "a/", "a/b/", "a/b/c/"}) {
    INFO(directory);
    const std::filesystem::path file = root / (std::string(directory) + ".htaccess");
    const auto value = [&] { return site.value("/a/b/c/probe.php"); };
    for (int round = 0; round < 3; ++round) {
      REQUIRE(value() == "(not set)");
      site.tree.write(std::string(directory) + ".htaccess", "php_value user_agent written\n");
      REQUIRE(value() == "written");
      std::filesystem::remove(file);
      REQUIRE(value() == "(not set)");
      std::filesystem::create_symlink(root / "elsewhere/.htaccess", file);
      REQUIRE(value() == "there");
      std::filesystem::remove(file);
      REQUIRE(value() == "(not set)");
      std::filesystem::create_hard_link(root / "elsewhere/.htaccess", file);
      REQUIRE(value() == "there");
      std::filesystem::remove(file);
      REQUIRE(value() == "(not set)");
      std::filesystem::rename(root / "elsewhere/.htaccess", file);
      REQUIRE(value() == "there");
      std::filesystem::rename(file, root / "elsewhere/.htaccess");
      REQUIRE(value() == "(not set)");
    }
  }
}

TEST_CASE("The target of a symlink that led nowhere is seen to come to be") {
  Site site;
  std::filesystem::create_symlink(site.tree.path() + "/later/it", site.tree.path() + "/.htaccess");
  CHECK(site.value() == "(not set)");
  site.tree.write("later/it", "php_value user_agent it\n");
  CHECK(site.value() == "it");
}

TEST_CASE("Directories on the way that are replaced are seen, with and without a .htaccess") {
  Site site;
  const std::filesystem::path root = site.tree.path();
  site.tree.write("a/b/c/probe.php", "");
  site.tree.write("other/b/c/probe.php", "");
  site.tree.write("other/.htaccess", "php_value user_agent other\n");
  const auto value = [&] { return site.value("/a/b/c/probe.php"); };
  CHECK(value() == "(not set)");
  // One that is replaced by another with the same leaf: only the rename tells.
  std::filesystem::rename(root / "a/b", root / "kept");
  std::filesystem::rename(root / "a", root / "gone");
  std::filesystem::rename(root / "other", root / "a");
  std::filesystem::remove_all(root / "a/b");
  std::filesystem::rename(root / "kept", root / "a/b");
  CHECK(value() == "other");
  std::filesystem::rename(root / "a", root / "other");
  std::filesystem::create_directory(root / "a");
  std::filesystem::rename(root / "other/b", root / "a/b");
  CHECK(value() == "(not set)");
  site.tree.write("a/b/.htaccess", "php_value user_agent b\n");
  CHECK(value() == "b");
}

TEST_CASE("A directory above the document root that is replaced is seen") {
  TemporaryTree tree;
  tree.write("x/site/probe.php", "");
  tree.write("y/site/.htaccess", "php_value user_agent y\n");
  const std::filesystem::path base = tree.path();
  HtaccessCache cache;
  const std::string root = tree.path() + "/x/site";
  const auto value = [&] { return value_of(cache.settings(root, root + "/probe.php", {}), "user_agent"); };
  CHECK(value() == "(not set)");
  std::filesystem::rename(base / "x", base / "z");
  std::filesystem::rename(base / "y", base / "x");
  CHECK(value() == "y");
}

TEST_CASE("A symlinked directory that is led elsewhere is seen, and what comes to be in its target") {
  Site site;
  const std::filesystem::path root = site.tree.path();
  site.tree.write("v1/probe.php", "");
  site.tree.write("v2/.htaccess", "php_value user_agent v2\n");
  site.tree.write("v3/deep/probe.php", "");
  std::filesystem::create_directory_symlink("v1", root / "current");
  const auto value = [&] { return site.value("/current/probe.php"); };
  CHECK(value() == "(not set)");
  std::filesystem::create_directory_symlink("v2", root / "next");
  std::filesystem::rename(root / "next", root / "current");
  CHECK(value() == "v2");
  std::filesystem::create_directory_symlink("v1", root / "next");
  std::filesystem::rename(root / "next", root / "current");
  CHECK(value() == "(not set)");
  site.tree.write("v1/.htaccess", "php_value user_agent v1\n");
  CHECK(value() == "v1");
  std::filesystem::create_directory_symlink("v3", root / "next");
  std::filesystem::rename(root / "next", root / "current");
  CHECK(site.value("/current/deep/probe.php") == "(not set)");
  site.tree.write("v3/deep/.htaccess", "php_value user_agent deep\n");
  CHECK(site.value("/current/deep/probe.php") == "deep");
}

TEST_CASE("A removed directory that comes again is seen") {
  Site site;
  const std::filesystem::path root = site.tree.path();
  for (int round = 0; round < 20; ++round) {
    site.tree.write("a/probe.php", "");
    REQUIRE(site.value("/a/probe.php") == "(not set)");
    std::filesystem::remove_all(root / "a");
    site.tree.write("a/.htaccess", "php_value user_agent a\n");
    REQUIRE(site.value("/a/probe.php") == "a");
    std::filesystem::remove_all(root / "a");
  }
}

TEST_CASE("A file system mounted on the way is seen, and its end") {
  Site site;
  site.tree.write("a/b/probe.php", "");
  site.tree.write("c/.htaccess", "php_value user_agent c\n");
  site.tree.write("c/b/probe.php", "");
  const std::string a = site.tree.path() + "/a";
  CHECK(site.value("/a/b/probe.php") == "(not set)");
  // In a mount namespace of its own; it is left with the thread.
  std::string mounted, unmounted;
  bool possible = false;
  std::thread([&] {
    if (::unshare(CLONE_FS | CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return;
    HtaccessCache cache;
    const auto value = [&] {
      return value_of(cache.settings(site.tree.path(), a + "/b/probe.php", {}), "user_agent");
    };
    possible = value() == "(not set)" &&
               ::mount((site.tree.path() + "/c").c_str(), a.c_str(), nullptr, MS_BIND, nullptr) == 0;
    mounted = value();
    possible = possible && ::umount(a.c_str()) == 0;
    unmounted = value();
  }).join();
  REQUIRE(possible);
  CHECK(mounted == "c");
  CHECK(unmounted == "(not set)");
}

TEST_CASE("More events than the queue holds are no way past it") {
  Site site;
  site.tree.write("a/probe.php", "");
  CHECK(site.value("/a/probe.php") == "(not set)");
  const std::filesystem::path root = site.tree.path();
  for (int i = 0; i < 20'000; ++i) {
    const std::filesystem::path file = root / ("a/" + std::to_string(i % 2));
    std::filesystem::create_symlink("x", file);
    std::filesystem::remove(file);
  }
  site.tree.write("a/.htaccess", "php_value user_agent a\n");
  CHECK(site.value("/a/probe.php") == "a");
  std::filesystem::remove(root / "a/.htaccess");
  CHECK(site.value("/a/probe.php") == "(not set)");
  site.tree.write("a/.htaccess", "php_value user_agent a\n");
  CHECK(site.value("/a/probe.php") == "a");
}

TEST_CASE("More directories than are watched at once") {
  Site site({.max_watches = 50});
  const int count = 170;
  for (int i = 0; i < count; ++i) site.tree.write("d" + std::to_string(i) + "/probe.php", "");
  for (int i = 0; i < count; ++i) REQUIRE(site.value("/d" + std::to_string(i) + "/probe.php") == "(not set)");
  for (const int i : {0, 1, count / 2, count - 1}) {
    site.tree.write("d" + std::to_string(i) + "/.htaccess", "php_value user_agent x\n");
    CHECK(site.value("/d" + std::to_string(i) + "/probe.php") == "x");
  }
}

TEST_CASE("The watches end in the middle of a path") {
  for (int watches = 1; watches < 16; ++watches) {
    INFO(watches);
    Site site({.max_watches = watches});
    const std::string script = "/a/b/c/d/e/f/g/probe.php";
    site.tree.write(script.substr(1), "");
    for (const char *file : {"a/.htaccess", ".htaccess", "a/b/c/d/e/f/.htaccess"}) {
      REQUIRE(site.value(script) == "(not set)");
      REQUIRE(site.value(script) == "(not set)");
      site.tree.write(file, "php_value user_agent x\n");
      REQUIRE(site.value(script) == "x");
      std::filesystem::remove(site.tree.path() + "/" + file);
    }
  }
}

TEST_CASE("An error is told each time, and gone with its cause") {
  Site site;
  site.tree.write(".htaccess", "\nphp_value user_agent\n");
  for (int i = 0; i < 2; ++i) {
    const auto settings = site.settings();
    REQUIRE_FALSE(settings.ok());
    CHECK(settings.error().code == 0);
    CHECK(settings.error().message() ==
          site.tree.path() + "/.htaccess:2: php_value takes two arguments, PHP Value Modifier");
  }
  site.tree.write(".htaccess", "\nphp_value user_agent a\n");
  CHECK(site.value() == "a");
}

TEST_CASE("A diagnostic is told once for each version of a file") {
  Site site;
  site.tree.write(".htaccess", "<If \"%{REMOTE_USER} == 'x'\">\nphp_value user_agent a\n</If>\n");
  CHECK(site.settings()->diagnostics.size() == 1);
  CHECK(site.settings()->diagnostics.empty());
  site.tree.write(".htaccess", "\n<If \"%{REMOTE_USER} == 'x'\">\nphp_value user_agent a\n</If>\n");
  const auto settings = site.settings();
  REQUIRE(settings->diagnostics.size() == 1);
  CHECK(settings->diagnostics[0].line == 2);
}

TEST_CASE("Diagnostics of several files are all told") {
  Site site;
  const std::string text = "<IfModule mod_who_knows.c>\nphp_value user_agent a\n</IfModule>\n";
  site.tree.write(".htaccess", text);
  site.tree.write("a/.htaccess", text);
  CHECK(site.settings("/a/probe.php")->diagnostics.size() == 2);
}

TEST_CASE("A FIFO is refused and not waited for") {
  Site site;
  REQUIRE(::mkfifo((site.tree.path() + "/.htaccess").c_str(), 0600) == 0);
  const auto settings = site.settings();
  REQUIRE_FALSE(settings.ok());
  CHECK(settings.error().code != 0);
  CHECK(settings.error().message().find("not a regular file") != std::string::npos);
}

TEST_CASE("A directory named .htaccess is refused") {
  Site site;
  std::filesystem::create_directory(site.tree.path() + "/.htaccess");
  CHECK_FALSE(site.settings().ok());
}

TEST_CASE("Symlinks: followed, dangling as if absent, a loop refused") {
  Site site;
  const std::filesystem::path root = site.tree.path();
  site.tree.write("real", "php_value user_agent linked\n");
  std::filesystem::create_symlink("real", root / ".htaccess");
  CHECK(site.value() == "linked");
  site.tree.write("real", "php_value user_agent changed\n");
  CHECK(site.value() == "changed");
  std::filesystem::remove(root / "real");
  CHECK(site.value() == "(not set)");
  std::filesystem::remove(root / ".htaccess");
  std::filesystem::create_symlink(".htaccess", root / ".htaccess");
  const auto settings = site.settings();
  REQUIRE_FALSE(settings.ok());
  CHECK(settings.error().code == ELOOP);
}

TEST_CASE("A file of 10 MiB is refused, one of 1 MiB is read") {
  Site site;
  std::string text = "php_value user_agent big\n";
  while (text.size() < (1 << 20) - 64) text += "# 01234567890123456789012345678901234567890123456789\n";
  site.tree.write(".htaccess", text);
  CHECK(site.value() == "big");
  while (text.size() < (10 << 20)) text += text;
  site.tree.write(".htaccess", text);
  const auto settings = site.settings();
  REQUIRE_FALSE(settings.ok());
  CHECK(settings.error().code == EFBIG);
}

TEST_CASE("Many settings and deep sections are bounded") {
  Site site;
  std::string text;
  for (int i = 0; i < 40'000; ++i) text += "php_value a" + std::to_string(i) + " b\n";
  site.tree.write(".htaccess", text);
  CHECK(site.settings()->values.items().size() == 40'000);
  text.clear();
  for (int i = 0; i < 50'000; ++i) text += "<If \"true\">\n";
  site.tree.write(".htaccess", text);
  CHECK(site.value().find("nested too deeply") != std::string::npos);
  text.clear();
  for (int i = 0; i < 20'000; ++i) text += "<IfModule mod_php.c>\n";
  site.tree.write(".htaccess", text);
  CHECK(site.value().find("nested too deeply") != std::string::npos);
  text = "<IfModule mod_php4.c>\n" + text;
  site.tree.write(".htaccess", text);
  CHECK(site.value().find("nested too deeply") != std::string::npos);
}

TEST_CASE("What is kept is bounded, and what is dropped is read again") {
  Site site({.max_files = 4, .max_bytes = 1000});
  for (int i = 0; i < 10; ++i)
    site.tree.write(std::to_string(i) + "/.htaccess", "php_value user_agent " + std::to_string(i) + "\n");
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < 10; ++i)
      CHECK(site.value("/" + std::to_string(i) + "/probe.php") == std::to_string(i));
  CHECK(site.cache.files() <= 5);
  for (int i = 0; i < 10; ++i)
    site.tree.write(std::to_string(i) + "/.htaccess",
                    "php_value user_agent " + std::to_string(i) + "\n#" + std::string(600, 'x') + "\n");
  for (int i = 0; i < 10; ++i) CHECK(site.value("/" + std::to_string(i) + "/probe.php") == std::to_string(i));
  CHECK(site.cache.bytes() <= 2000);
}

TEST_CASE("More files on the way than are kept") {
  Site site({.max_files = 2});
  std::string directory;
  for (int i = 0; i < 8; ++i) {
    site.tree.write((directory + "/.htaccess").substr(1), "php_value user_agent " + std::to_string(i) +
                                                              "\nphp_value v" + std::to_string(i) + " x\n");
    directory += "/d";
  }
  const auto settings = site.settings(directory + "/probe.php");
  CHECK(value_of(settings, "user_agent") == "7");
  CHECK(settings->values.items().size() == 9);
}

TEST_CASE("The document root is the uppermost directory, unless told") {
  TemporaryTree tree;
  tree.write(".htaccess", "php_value user_agent above\n");
  tree.write("site/probe.php", "");
  const std::string root = tree.path() + "/site";
  CHECK(value_of(HtaccessCache().settings(root, root + "/probe.php", {}), "user_agent") == "(not set)");
  CHECK(value_of(HtaccessCache().settings(root + "/", root + "/probe.php", {}), "user_agent") == "(not set)");
  HtaccessCache above({}, {.above_document_root = true});
  CHECK(value_of(above.settings(root, root + "/probe.php", {}), "user_agent") == "above");
  CHECK(value_of(HtaccessCache().settings("/", root + "/probe.php", {}), "user_agent") == "above");
}

TEST_CASE("Paths that are not below the document root, or not plain, are refused") {
  HtaccessCache cache;
  for (const char *script : {"/srv/other/a.php", "/srv/sitemap/a.php", "relative.php", "", "/srv/site",
                             "/srv/site/../a.php", "/srv/site/./a.php", "/srv/site/.."}) {
    INFO(script);
    const auto settings = cache.settings("/srv/site", script, {});
    REQUIRE_FALSE(settings.ok());
    CHECK(settings.error().code == EINVAL);
  }
  CHECK(cache.settings("/srv/site", "/srv/site//a//b.php", {}).ok());
}

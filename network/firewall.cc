#include "network/firewall.h"

#include <nftables/libnftables.h>

#include <memory>

#include "network/rules.h"

namespace paddock::network {
namespace {

struct Free {
  void operator()(nft_ctx *context) const { ::nft_ctx_free(context); }
};
using Context = std::unique_ptr<nft_ctx, Free>;

// A context of its own each time: it holds a socket.
Result<std::string> run(const std::string &commands, const std::string &attempt) {
  const Context context(::nft_ctx_new(NFT_CTX_DEFAULT));
  if (!context) return errno_error(attempt);
  ::nft_ctx_buffer_output(context.get());
  ::nft_ctx_buffer_error(context.get());
  if (::nft_run_cmd_from_buffer(context.get(), commands.c_str()) == 0)
    return std::string(::nft_ctx_get_output_buffer(context.get()));
  const std::string said = ::nft_ctx_get_error_buffer(context.get());
  // The first line says it; the others point at the place in the text.
  return Error{attempt + ": " + said.substr(0, said.find('\n'))};
}

}  // namespace

Result<void> apply_ruleset(const std::string &commands) {
  const auto done = run(commands, "load the nftables rules of tenants' networks");
  if (!done) return done.error();
  return {};
}

Result<bool> table_exists() {
  PADDOCK_TRY(const std::string tables, run("list tables inet", "list the nftables tables"));
  return ("\n" + tables).find("\ntable inet " + std::string(kTable) + "\n") != std::string::npos;
}

Result<void> remove_table() {
  const std::string table = "table inet " + std::string(kTable) + "\n";
  const auto done = run(table + "delete " + table, "remove the nftables table of tenants' networks");
  if (!done) return done.error();
  return {};
}

}  // namespace paddock::network

// Output that never waits for the client: for connections whose thread must not be held by a slow reader.
#pragma once

#include "apache/apache.h"

namespace paddock::apache {

// For the module's register_hooks.
void register_quiet_output();

// Writes what the connection's filters hold, as far as the client takes it now. False: the client is gone.
// What is left shows in c->data_in_output_filters.
[[nodiscard]] bool write_quietly(conn_rec *c);

// While one exists, FLUSH buckets stop above the network filter, which would wait for the client at each:
// filters that hold data back (mod_deflate, mod_ssl) give it, and write_quietly() sends it.
class QuietOutput {
 public:
  explicit QuietOutput(conn_rec *c);
  QuietOutput(const QuietOutput &) = delete;
  QuietOutput &operator=(const QuietOutput &) = delete;
  ~QuietOutput();

 private:
  ap_filter_t *filter_;
};

}  // namespace paddock::apache

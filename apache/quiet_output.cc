#include "apache/quiet_output.h"

namespace paddock::apache {
namespace {

ap_filter_rec_t *handle = nullptr;

apr_status_t without_flushes(ap_filter_t *filter, apr_bucket_brigade *brigade) {
  for (apr_bucket *at = APR_BRIGADE_FIRST(brigade); at != APR_BRIGADE_SENTINEL(brigade);) {
    apr_bucket *next = APR_BUCKET_NEXT(at);
    if (APR_BUCKET_IS_FLUSH(at)) apr_bucket_delete(at);
    at = next;
  }
  return APR_BRIGADE_EMPTY(brigade) ? APR_SUCCESS : ap_pass_brigade(filter->next, brigade);
}

}  // namespace

void register_quiet_output() {
  // Just above the filter that writes to the socket, below TLS.
  handle = ap_register_output_filter("PADDOCK_QUIET", without_flushes, nullptr,
                                     static_cast<ap_filter_type>(AP_FTYPE_NETWORK - 1));
}

bool write_quietly(conn_rec *c) {
  ap_filter_t *last = c->output_filters;
  while (last->next != nullptr) last = last->next;
  // Without a brigade the network filter writes what it has, without waiting: so the MPM itself calls it.
  return last->frec->filter_func.out_func(last, nullptr) == APR_SUCCESS && c->aborted == 0;
}

QuietOutput::QuietOutput(conn_rec *c) : filter_(ap_add_output_filter_handle(handle, nullptr, nullptr, c)) {}

QuietOutput::~QuietOutput() {
  ap_remove_output_filter(filter_);
}

}  // namespace paddock::apache

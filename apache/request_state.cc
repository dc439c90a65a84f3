#include "apache/request_state.h"

#include <new>

namespace paddock::apache {

RequestState &request_state(request_rec *r) {
  auto *state = static_cast<RequestState *>(ap_get_module_config(r->request_config, &paddock_module));
  if (state == nullptr) {
    state = new (apr_palloc(r->pool, sizeof(RequestState))) RequestState;
    ap_set_module_config(r->request_config, &paddock_module, state);
  }
  return *state;
}

}  // namespace paddock::apache

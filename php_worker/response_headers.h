// PHP's response headers as CGI wants them (RFC 3875, section 6.3).
#pragma once

#include "php_worker/connection.h"
#include "php_worker/php_headers.h"

namespace paddock::php_worker {

// Calls visit(const sapi_header_struct &) for each of the script's headers, in their order.
template <typename Visit>
void for_each_header(sapi_headers_struct &headers, Visit visit) {
  zend_llist_position position;
  for (auto *header = static_cast<sapi_header_struct *>(zend_llist_get_first_ex(&headers.headers, &position));
       header != nullptr;
       header = static_cast<sapi_header_struct *>(zend_llist_get_next_ex(&headers.headers, &position)))
    visit(*header);
}

// Writes a Status header where the status is not 200, the script's headers, and the empty line. The status
// that it tells; 0: none that is a number.
unsigned write_response_headers(Connection &connection, sapi_headers_struct &headers);

}  // namespace paddock::php_worker

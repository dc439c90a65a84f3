// Requests that no thread waits for, on httpd's event MPM.
//
// httpd 2.4 lets a handler return SUSPENDED and then forgets the connection: nothing takes it back. So from
// then on the module does for that connection what the MPM does for others, in the same order: it finishes
// the answer, writes what the client takes, waits for the next request on the kept connection or closes it
// with lingering. One thread waits (waiter.h); what has become ready runs on the MPM's own threads, by a
// timed callback.
//
// Read server/mpm/event/event.c, process_socket() and process_lingering_close(), beside this.
#pragma once

#include "apache/apache.h"
#include "apache/transaction.h"

namespace paddock::apache {

// For post_config and child_init. False: this MPM cannot suspend, or the thread could not be started:
// requests wait.
void start_suspension(apr_pool_t *child_pool, server_rec *server);

// Whether a handler of `r` can give its thread back: an event MPM's own connection (no HTTP/2 stream), no
// subrequest, and no internal redirect but our own (redirect.h).
[[nodiscard]] bool can_suspend(request_rec *r);

// Takes the transaction over; the handler returns the result at once.
[[nodiscard]] int suspend(Transaction &transaction, Transaction::Progress waiting_for);

// A handler below has suspended this connection, and has not returned to the MPM yet.
[[nodiscard]] bool is_being_suspended(conn_rec *c);
// What a handler that was between the MPM and the suspended one returns then.
[[nodiscard]] int pass_suspension_on(request_rec *r);

// For the hook of that name.
void connection_suspended(conn_rec *c, request_rec *);

}  // namespace paddock::apache

#include "protocols/gateway_link/gateway_link.h"  // messages are all header; this file checks that it stands alone

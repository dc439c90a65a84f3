#include "protocols/zygote_link/zygote_link.h"  // messages are all header; this file checks that it stands alone

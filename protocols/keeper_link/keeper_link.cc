#include "protocols/keeper_link/keeper_link.h"  // messages are all header; this file checks that it stands alone

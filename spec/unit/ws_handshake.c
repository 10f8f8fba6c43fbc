#include "ws_support.h"
void test_ws_handshake(void){}

#include "ws_support.h"
void test_ws_floods(void){}

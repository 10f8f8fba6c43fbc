/* Tests of the WebSocket side of core/http: each check prints `ok - sentence` or `not ok -
 * sentence`; websocket_spec.lua reads them. The tests are in ws_*.c. */
#include "ws_support.h"

#include "base/tally.h"

#include <stdio.h>

static int failures;

void check(bool is_ok, const char *sentence)
{
    printf("%s - %s\n", is_ok ? "ok" : "not ok", sentence);
    fflush(stdout);
    failures += !is_ok;
}

int main(void)
{
    test_ws_handshake();
    test_ws_frames();
    test_ws_deflate();
    test_ws_floods();
    test_ws_life();

    bool is_empty = true;
    for (int kind = 0; kind < TALLY_KINDS; kind++)
        is_empty = is_empty && tally_count((enum tally_kind)kind) == 0;
    check(is_empty, "websocket: nothing is left open");
    return failures > 0;
}

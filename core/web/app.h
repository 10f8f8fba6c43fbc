/* The application that serves in this Lua state: its router and what each route runs. Installed by
 * core.serve, freed with the vm. */
#ifndef WEB_APP_H
#define WEB_APP_H

#include "http/router.h"

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct guest;
struct vm;

enum on_disconnect { DISCONNECT_BY_METHOD, DISCONNECT_CANCEL, DISCONNECT_CONTINUE };

struct route {
    int handler_ref;
    int ws_ref; /* what app:ws said: callbacks and options; LUA_NOREF when it is no such route */
    bool ws_has_callbacks;
    const char *name; /* for logs and tasks; kept alive by name_ref */
    int name_ref;
    uint64_t body_limit; /* 0 = the server's */
    uint32_t timeout_ms; /* 0 = none */
    enum on_disconnect on_disconnect;
};

struct app {
    struct router *router;
    int router_ref;       /* keeps the router alive */
    struct route *routes; /* 1..count, [0] is the fallback */
    int count;
    int on_error_ref; /* LUA_NOREF when there is none */
    int on_send_ref;
    int handoff_ref; /* what the next generation is given, and ... */
    int adopt_ref;   /* ... what takes it there; LUA_NOREF: none */
    int from_ref;    /* makes a response object of any other results */
    int packings;    /* bodies that are compressed in slices */
};

void app_free(struct app *app); /* the Lua references go with their state */
/* The number of the route that is to this app what `other` is to its own: of the same name (or
 * pattern), a WebSocket's if it is one. 0: there is none. */
int app_find_route(const struct app *app, const struct route *other);
/* A guest that a handler of `from` has just made. Whether another state serves by now: its route
 * then has a number there. */
bool app_renumber_guest(struct guest *guest, const struct vm *from);

#endif

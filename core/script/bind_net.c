/* `neap.net`: connecting. The task parks until the socket is connected, within one time limit. */
#include "script/core.h"

#include "base/alloc.h"
#include "net/client.h"
#include "net/error.h"
#include "script/duration.h"
#include "script/socket.h"
#include "script/task.h"
#include "script/vm.h"

#include <lauxlib.h>
#include <string.h>

#define CONNECT_MS 10000
#define AT_BOX 4 /* where the socket's userdata is on the stack while its task waits */

struct connecting {
    struct client client;
    struct wait *wait; /* NULL: nobody waits any more */
    bool is_unix;
    int result;
};

static void connecting_on_done(struct client *client, int fd_or_err)
{
    struct connecting *connecting = container_of(client, struct connecting, client);
    connecting->result = fd_or_err;
    if (connecting->wait) {
        wait_wake(connecting->wait, 0);
        return;
    }
    if (fd_or_err >= 0)
        net_close_fd(fd_or_err);
    mem_free(connecting);
}

static void connecting_undo(struct wait *wait)
{
    struct connecting *connecting = wait->source;
    connecting->wait = NULL;
    client_cancel(&connecting->client);
}

static int connect_finish(lua_State *L, struct wait *wait)
{
    struct connecting *connecting = wait->source;
    struct socket_box *box = lua_touserdata(L, AT_BOX);
    struct socket *socket;
    int fd = connecting->result;
    bool is_unix = connecting->is_unix;
    mem_free(connecting);
    int err = fd < 0 ? fd : socket_open(&socket, vm_of(L), fd, is_unix);
    if (err)
        return socket_push_error(L, net_error(err));
    box->handle = socket->handle;
    socket_start(socket);
    lua_settop(L, AT_BOX);
    return 1;
}

/* connect(host, port [, timeout]) -> socket | nil, error; host "unix:PATH": without a port */
static int net_connect(lua_State *L)
{
    const char *host = luaL_checkstring(L, 1);
    bool is_unix = strncmp(host, "unix:", 5) == 0;
    lua_Integer port = is_unix ? 0 : luaL_checkinteger(L, 2);
    luaL_argcheck(L, is_unix || (port > 0 && port < 65536), 2,
                  "a port is a number from 1 to 65535");
    uint64_t limit_ms = lua_isnoneornil(L, 3) ? CONNECT_MS : duration_check(L, 3);
    lua_settop(L, AT_BOX - 1);
    socket_box_push(L);

    struct wait *wait = task_wait(L);
    struct connecting *connecting = mem_calloc(sizeof(*connecting));
    connecting->wait = wait;
    connecting->is_unix = is_unix;
    wait->undo = connecting_undo;
    wait->finish = connect_finish;
    wait->source = connecting;
    client_connect(&connecting->client, vm_of(L)->loop, host, (uint16_t)port, (uint32_t)limit_ms,
                   connecting_on_done);
    return task_park(L, WAIT_FOREVER);
}

int bind_net(lua_State *L)
{
    lua_pushcfunction(L, net_connect);
    lua_setfield(L, -2, "connect");
    return 0;
}

/* `neap.net`: connecting. The task parks until the socket is connected, and secured if it is to be,
 * within one time limit. */
#include "base/mem.h"
#include "bind/bind_tls.h"
#include "bind/socket.h"
#include "net/client.h"
#include "net/net.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/units.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_MS 10000
#define AT_BOX 7 /* where the socket's userdata is on the stack while its task waits */

struct connecting {
    struct client client;
    struct wait *wait; /* NULL: nobody waits any more */
    struct vm *vm;
    struct tls *tls;       /* for the socket; NULL: plain, or the socket has it */
    struct socket *socket; /* connected */
    struct deadline limit; /* of the handshake */
    uint64_t due_ms;
    bool is_unix;
    char error[160]; /* "": none */
};

static void connecting_free(struct connecting *connecting)
{
    tls_free(connecting->tls);
    mem_free(connecting);
}

/* Without an error the socket is ready. */
static void bind_net_finish(struct connecting *connecting, const char *error)
{
    if (error)
        snprintf(connecting->error, sizeof(connecting->error), "%s", error);
    if (error && connecting->socket) {
        socket_forget(connecting->socket, conn_close);
        connecting->socket = NULL;
    }
    loop_clear_deadline(connecting->vm->loop, &connecting->limit);
    task_wake_wait(connecting->wait, 0);
}

static void bind_net_on_limit(struct deadline *deadline)
{
    struct connecting *connecting = container_of(deadline, struct connecting, limit);
    conn_catch_up(&connecting->socket->conn); /* may finish */
    if (connecting->wait->outcome == WAIT_PENDING)
        bind_net_finish(connecting, net_error(UV_ETIMEDOUT));
}

static void on_secure(void *owner)
{
    struct connecting *connecting = owner;
    struct socket *socket = connecting->socket;
    bool is_open = tls_state(socket->tls) == TLS_OPEN || tls_state(socket->tls) == TLS_ENDED;
    bind_net_finish(connecting, is_open ? NULL : socket_end_reason(socket));
}

static void begin_handshake(struct connecting *connecting)
{
    struct loop *loop = connecting->vm->loop;
    uint64_t now_ms = loop_now_ms(loop);
    struct tls *tls = connecting->tls;
    connecting->tls = NULL;
    loop_set_deadline(loop, &connecting->limit,
                      connecting->due_ms > now_ms ? connecting->due_ms - now_ms : 0);
    socket_secure(connecting->socket, tls, on_secure, connecting);
}

static void on_connected(struct client *client, int fd_or_err)
{
    struct connecting *connecting = container_of(client, struct connecting, client);
    if (!connecting->wait) {
        if (fd_or_err >= 0)
            net_close_fd(fd_or_err);
        connecting_free(connecting);
        return;
    }
    int err = fd_or_err;
    if (err >= 0)
        err = socket_open(&connecting->socket, connecting->vm, fd_or_err, connecting->is_unix);
    if (err < 0)
        bind_net_finish(connecting, net_error(err));
    else if (connecting->tls)
        begin_handshake(connecting);
    else
        bind_net_finish(connecting, NULL);
}

static void connecting_undo(struct wait *wait)
{
    struct connecting *connecting = wait->source;
    connecting->wait = NULL;
    if (!connecting->socket) {
        client_cancel(&connecting->client);
        return;
    }
    loop_clear_deadline(connecting->vm->loop, &connecting->limit);
    socket_forget(connecting->socket, conn_close);
    connecting_free(connecting);
}

static void connecting_lose(struct wait *wait)
{
    struct connecting *connecting = wait->source;
    if (connecting->socket)
        socket_forget(connecting->socket, conn_close);
    connecting_free(connecting);
}

static int connect_finish(lua_State *L, struct wait *wait)
{
    struct connecting *connecting = wait->source;
    struct socket_box *box = lua_touserdata(L, AT_BOX);
    if (!connecting->socket) {
        char error[sizeof(connecting->error)];
        memcpy(error, connecting->error, sizeof(error));
        connecting_free(connecting); /* before what may raise */
        return socket_push_error(L, error);
    }
    box->handle = connecting->socket->handle;
    socket_start(connecting->socket);
    connecting_free(connecting);
    lua_settop(L, AT_BOX);
    return 1;
}

static void bind_net_begin(struct connecting *connecting, const char *host, uint16_t port,
                           uint64_t limit_ms)
{
    connecting->due_ms = loop_now_ms(connecting->vm->loop) + limit_ms;
    client_connect(&connecting->client, connecting->vm->loop, host, port, (uint32_t)limit_ms,
                   on_connected);
}

/* connect(host, port [, timeout [, tls_config, server_name [, alpn]]]) -> socket | nil, error; host
 * "unix:PATH": without a port; alpn as in RFC 7301 */
static int net_connect(lua_State *L)
{
    size_t alpn_len;
    const char *host = luaL_checkstring(L, 1);
    bool is_unix = strncmp(host, "unix:", 5) == 0;
    lua_Integer port = is_unix ? 0 : luaL_checkinteger(L, 2);
    luaL_argcheck(L, is_unix || (port > 0 && port < 65536), 2,
                  "a port is a number from 1 to 65535");
    uint64_t limit_ms = lua_isnoneornil(L, 3) ? CONNECT_MS : units_check_duration(L, 3);
    SSL_CTX *config = lua_isnoneornil(L, 4) ? NULL : bind_tls_check_config(L, 4);
    const char *name = luaL_optstring(L, 5, host);
    const char *alpn = luaL_optlstring(L, 6, "", &alpn_len);
    lua_settop(L, AT_BOX - 1);
    socket_box_push(L);

    struct wait *wait = task_wait(L);
    struct connecting *connecting = mem_calloc(sizeof(*connecting));
    connecting->vm = vm_of(L);
    connecting->is_unix = is_unix;
    deadline_init(&connecting->limit, bind_net_on_limit);
    connecting->wait = wait;
    wait->undo = connecting_undo;
    wait->lost = connecting_lose;
    wait->finish = connect_finish;
    wait->source = connecting;
    if (config)
        connecting->tls = tls_new(config, name, (const unsigned char *)alpn, alpn_len);
    if (config && !connecting->tls)
        bind_net_finish(connecting, "tls: this server name cannot be used, or memory is short");
    else
        bind_net_begin(connecting, host, (uint16_t)port, limit_ms);
    return task_park(L, WAIT_FOREVER);
}

static int bind_net(lua_State *L)
{
    lua_pushcfunction(L, net_connect);
    lua_setfield(L, -2, "connect");
    return 0;
}

BINDING(bind_net)

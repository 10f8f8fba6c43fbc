/* A socket of `neap.net`, behind the userdata that Lua has: what was received and not yet taken,
 * and the tasks that wait for it. It is freed when Lua has let it go and its connection has
 * closed. */
#ifndef BIND_SOCKET_H
#define BIND_SOCKET_H

#include "base/bytes.h"
#include "base/list.h"
#include "base/slots.h"
#include "net/conn.h"
#include "net/tls.h"

#include <lua.h>
#include <stdbool.h>

struct vm;
struct wait;

/* What a reader asks for: `least` to `most` bytes, or everything up to a delimiter. */
struct socket_goal {
    size_t least;
    size_t most;       /* with a delimiter: so many bytes before it */
    const char *delim; /* NULL: none. Lua's, an argument of the reader */
    size_t delim_len;
    size_t searched; /* no delimiter begins in so many of the received bytes */
};

enum goal_state { GOAL_OPEN, GOAL_REACHED, GOAL_TOO_LARGE };

struct socket {
    struct conn conn;
    struct vm *vm;
    slot_handle handle;      /* 0: Lua has let it go */
    struct tls *tls;         /* NULL: plain */
    struct bytes in;         /* received and not yet taken */
    struct socket_goal goal; /* of the reader */
    struct wait *reader;
    struct wait *writer;
    struct list accepted_link;      /* in its listener, until accept has returned it */
    void (*on_secure)(void *owner); /* once: TLS is open, or the end has come before */
    void *secure_owner;
    int end;        /* why nothing more comes in: UV_EOF or an error; 0: more may come */
    bool is_closed; /* the connection is, and needs the memory no more */
};

/* Takes over the connected `fd`; it reads nothing before socket_start. On error the fd is
 * closed. */
int socket_open(struct socket **opened, struct vm *vm, int fd, bool is_unix);
void socket_start(struct socket *socket);
/* Begins with TLS, and takes `tls` over. on_secure is not called once the socket is forgotten. */
void socket_secure(struct socket *socket, struct tls *tls, void (*on_secure)(void *owner),
                   void *owner);
bool socket_can_send(const struct socket *socket);
void socket_write(struct socket *socket, const void *data, size_t len);
void socket_shutdown(struct socket *socket); /* our side ends */
void socket_say_end(struct socket *socket);  /* before closing: as TLS wants it */
/* For Lua it is closed, and whoever waits is told; the caller ends the connection in its own way.
 * Afterwards socket may be gone. */
void socket_forget(struct socket *socket, void (*end)(struct conn *conn));
/* How many bytes of what was received are what the goal asks for. */
enum goal_state socket_goal_check(struct socket *socket, size_t *len);
const char *socket_end_reason(const struct socket *socket); /* "closed", ... */

/* The userdata, to be made before anything is held that must not be lost; without a socket it is a
 * closed one. */
struct socket_box {
    slot_handle handle;
};

struct socket_box *socket_box_push(lua_State *L);
/* Of the userdata at 1; NULL: closed; raises: another type. */
struct socket *socket_find(lua_State *L);
int socket_push_error(lua_State *L, const char *reason); /* nil, reason */

#endif

/* A WebSocket as Lua has it: the connection's messages in order, the tasks that handle them one at
 * a time, and the topics it is subscribed to. Owned by its connection and its running task,
 * whichever lasts longer; Lua holds a handle. */
#ifndef PUSH_WSOCK_H
#define PUSH_WSOCK_H

#include "base/list.h"
#include "base/slots.h"
#include "live/feed.h"
#include "push/bind_topic.h"
#include "ws/ws.h"

#include <lua.h>
#include <stdbool.h>

struct reply_kind;
struct task;
struct vm;
struct wait;
struct wsub;

#define WSOCK_QUEUE_MAX 65536 /* bytes received and not taken, above which we stop reading */

/* A message received and not taken; the last one's `next` is the first. */
struct wsock_message {
    struct wsock_message *next;
    uint32_t len;
    bool is_text;
    char data[];
};

/* How it was closed. */
struct wsock_end {
    uint16_t code;
    bool is_told; /* to the callback `close` */
    size_t reason_len;
    char reason[];
};

/* What its Lua state keeps for it, see wsock_keep. */
enum wsock_kept {
    WSOCK_DATA,       /* ws.data */
    WSOCK_ON_HANDOFF, /* the function that gives the next generation its data */
    WSOCK_HANDOFF,    /* ws.handoff: what the generation before gave */
    WSOCK_KEPT        /* how many */
};

/* Kept small, as what it is made of: an idle one has nothing but this and its subscriptions.
 *
 * Where its life is, by `end`, `task` and ws_is_open:
 *   no end, a task, open         at work: the handler, `open`, or callbacks for what was received
 *   no end, no task, open        idle, with callbacks or as a feed; a message starts a task
 *   no end, a task, not open     we have begun to close it; what comes from there on is dropped
 *   no end, no task, not open    nobody is left but us: on_close will come
 *   an end, a task               closed; the task goes on, and the callback `close` may follow
 *   an end, no task              freed, in the call that led here
 * on_close sets `end`, once. It is freed by its task's end, on_close or wsock_take, no others.
 *
 * When another generation serves (wsock_is_left_behind): with callbacks it moves, at once when it
 * is idle, else when its task has ended; a handler with ws:on_handoff departs and arrives there;
 * another handler stays, and is closed with 1012 when its task is cancelled. */
struct wsock {
    struct websocket ws;
    struct vm *vm;
    slot_handle handle;
    struct wsock_message *received; /* the last one; NULL: none */
    struct list waits;              /* a task in ws:recv, in front of those in ws:send */
    struct wsub *subs;
    struct task *task;       /* at work for it: open, message, close or the whole handler */
    struct wsock_end *end;   /* NULL until it is closed */
    uint32_t received_bytes; /* with what each message costs */
    int spec_ref;            /* what the route says: callbacks and options; LUA_NOREF: none */
    bool owns_spec : 1;      /* else it is the route's, which many share */
    bool has_callbacks : 1;  /* callback style */
    bool is_feed : 1;        /* nothing but subscriptions, see topic:serve */
    bool has_on_handoff : 1;
};

/* What the routes say of a socket. */
struct wsock_plan {
    const struct ws_options *options;
    const char *protocol;
    int spec_ref;   /* the route's ... */
    bool owns_spec; /* ... or a reference that is the socket's from here on */
    bool has_callbacks;
    bool is_feed;
};

/* Makes one for the request, whose answer 101 has been begun. NULL: the client has left, or there
 * is no memory. */
struct wsock *wsock_open(struct vm *vm, struct request *rq, const struct wsock_plan *plan);
struct wsock *wsock_find(struct vm *vm, slot_handle handle); /* NULL: gone */
/* A task is at work for it, or has ended: then what waits is handled, or the memory goes. */
void wsock_task_begins(struct wsock *wsock, struct task *task);
void wsock_task_ended(struct wsock *wsock);
/* The task of the request that it came from has ended, and closes it; not when the next generation
 * goes on with it. Done by the core, because a Lua frame may find no memory to be left by. */
void wsock_leave(struct request *rq, const struct task *task, int status);
/* Pushes the first received message and its kind, and takes it; 0 when there is none. */
int wsock_push_message(lua_State *L, struct wsock *wsock);
void wsock_close(struct wsock *wsock, int code, const char *reason);
/* Its task ended by an error, or was cancelled. */
void wsock_close_failed(struct wsock *wsock, bool is_cancelled);
/* In ws:recv, where only one may be, and in ws:send: the wait ends when there is something, or the
 * end. */
bool wsock_has_reader(const struct wsock *wsock);
void wsock_await_message(struct wsock *wsock, struct wait *wait);
void wsock_await_room(struct wsock *wsock, struct wait *wait);
void wsock_wake_all(struct wsock *wsock);
/* For a state in which no task is left: ends it now or in one of the next turns, without its
 * callbacks. */
void wsock_take(struct wsock *wsock);
/* Keeps the value on top of the stack, and pops it. */
void wsock_keep(lua_State *L, const struct wsock *wsock, enum wsock_kept which);
int wsock_push_kept(lua_State *L, const struct wsock *wsock, enum wsock_kept which); /* its type */
void wsock_forget(const struct wsock *wsock, lua_State *L); /* all that this state keeps */
/* From here on the callbacks and options are those; owns_spec: the reference is its own. */
void wsock_set_spec(struct wsock *wsock, int spec_ref, bool owns_spec);

/* ---- from one generation to the next: wsock_travel.c ---- */

/* Another generation serves now, so it has to leave or close. */
bool wsock_is_left_behind(const struct wsock *wsock);
/* ... and its handler has said how: by ws:on_handoff. */
bool wsock_is_leaving(const struct wsock *wsock);
/* A new generation serves: goes over to it, now or when the task at work has ended. */
void wsock_follow(struct wsock *wsock);
/* Goes over to the generation that serves now. false: it cannot, and is closed with 1012. */
bool wsock_move(struct wsock *wsock, const struct bytes *handoff);
/* In the handler's task, when the handler has returned: asks for what it hands over, after which
 * handler.c lets the request go on in the next generation. */
int wsock_depart(lua_State *L, struct wsock *wsock);
/* There: a task that runs the new handler, with its arguments pushed, or NULL: it was closed. */
struct task *wsock_arrive(struct request *rq, int *argc);

/* The userdata; what it points to may be set later. */
slot_handle *wsock_push(lua_State *L, slot_handle handle);
extern const struct reply_kind reply_websocket_kind; /* field `ws` */
/* A task's body: goes on with the WebSocket's new handler. Stack: request, wsock. */
int wsock_reply_again(lua_State *L);

#endif

/* A WebSocket as Lua has it: the connection's messages in order, the tasks that handle them one at
 * a time, and the topics it is subscribed to. Owned by its connection and its running task,
 * whichever lasts longer; Lua holds a handle. */
#ifndef SCRIPT_WSOCK_H
#define SCRIPT_WSOCK_H

#include "base/list.h"
#include "base/slots.h"
#include "http/websocket.h"
#include "live/feed.h"
#include "script/bind_topic.h"

#include <lua.h>
#include <stdbool.h>

struct task;
struct vm;
struct wait;

#define WSOCK_QUEUE_MAX 65536 /* bytes received and not taken, above which we stop reading */

/* One subscription. */
struct wsub {
    struct feed feed;
    struct wsock *wsock;
    struct list link;    /* in wsock->subs */
    struct topic *topic; /* the first one: names it for unsubscribe */
    int visits;          /* see visit.h */
    bool is_envelope;
};

struct wsock {
    struct websocket *ws; /* NULL once closed */
    struct vm *vm;
    slot_handle handle;
    struct bytes queue;  /* received: for each message its length, its kind, its bytes */
    size_t taken;        /* of the queue */
    struct wait *reader; /* in ws:recv */
    struct list writers; /* in ws:send */
    struct list subs;
    struct task *task; /* at work for it: open, message, close or the whole handler */
    char *reason;      /* of the end */
    uint32_t reason_len;
    uint32_t burst; /* bytes that left at once since the sender last let others run */
    uint16_t code;
    bool is_paused;
    bool has_callbacks; /* callback style */
    bool is_feed;       /* nothing but subscriptions, see topic:serve */
    bool owes_close;    /* the callback `close` has to be called */
    int spec_ref;       /* what the route says: callbacks and options; LUA_NOREF: none */
    int data_ref;       /* ws.data, 0 = not used */
    int on_handoff_ref; /* what gives the next generation its data, 0 = nothing does */
    int handoff_ref;    /* ws.handoff: what the generation before gave, 0 = nothing */
};

/* What the routes say of a socket. */
struct wsock_plan {
    const struct ws_options *options;
    const char *protocol;
    int spec_ref; /* the socket's from here on */
    bool has_callbacks;
    bool is_feed;
};

/* Makes one for the request, whose answer 101 has been begun. Takes the reference. NULL: the client
 * has left. */
struct wsock *wsock_open(struct vm *vm, struct request *rq, const struct wsock_plan *plan);
struct wsock *wsock_find(struct vm *vm, slot_handle handle); /* NULL: gone */
/* A task is at work for it, or has ended: then what waits is handled, or the memory goes. */
void wsock_task_begins(struct wsock *wsock, struct task *task);
void wsock_task_ended(struct wsock *wsock);
/* Pushes the first received message and its kind, and takes it; 0 when there is none. */
int wsock_push_message(lua_State *L, struct wsock *wsock);
void wsock_close(struct wsock *wsock, int code, const char *reason);
/* Its task ended by an error, or was cancelled. */
void wsock_close_failed(struct wsock *wsock, bool is_cancelled);
void wsock_wake_all(struct wsock *wsock);  /* whoever receives or sends */
void wsock_unref_all(struct wsock *wsock); /* what its Lua state keeps for it */

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
/* There: a task that runs the new handler, with its two arguments pushed, or NULL: it was closed.
 */
struct task *wsock_arrive(struct request *rq);

/* Subscribes; `slow` < 0: the topic's own policy. Takes the visits (0: none). */
void wsub_open(struct wsock *wsock, const struct topic_choice *choice, bool is_envelope, int slow,
               int visits);
bool wsub_close(struct wsock *wsock, const struct topic *topic); /* false: there is no such
                                                                    subscription */
void wsub_close_all(struct wsock *wsock);
void wsub_move_all(struct wsock *wsock, struct vm *to); /* from wsock->vm */
void wsub_resume_all(struct wsock *wsock);

/* The userdata. */
void wsock_push(lua_State *L, slot_handle handle);
int reply_websocket(lua_State *L, struct request *rq, int index); /* the response object has a field
                                                                     `ws` */
/* A task's body: goes on with the WebSocket's new handler. Stack: request, wsock. */
int reply_websocket_again(lua_State *L);
int bind_websocket(lua_State *L);

#endif

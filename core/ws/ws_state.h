/* What the files of this room share; nobody else includes this. A map of the room:
 *
 *   ws_handshake.c  what a client asks for, and the 101; ws_offer.c reads its offers to compress
 *   ws.c            the life: ws_accept, waiting and going on, pings, both ways to close, on_close
 *   ws_message.c    in: ws_read takes bytes to frames and messages, by the rules and limits
 *   ws_frame.c      one frame, by wslay: ws_frame_read for ws_message.c, heads for ws_send.c
 *   ws_deflate.c    a message compressed or inflated, by zlib
 *   ws_send.c       out: messages, control frames, frames that were made for many
 *   ws_pool.c       what all sockets of a server share: kinds, frames, zlib's state, buffers
 *
 * The session calls ws.c as its guest, ws.c calls its owner (push/wsock.c) by struct ws_events. */
#ifndef WS_WS_STATE_H
#define WS_WS_STATE_H

#include "base/utf8.h"
#include "http/guest.h"
#include "http/session_state.h"
#include "ws/ws.h"
#include "ws/ws_frame.h"

/* A close code that wslay does not have. */
#define WS_TRY_AGAIN_LATER 1013

struct ws_inflater;

/* What many have in common. */
struct ws_kind {
    struct ws_options options;
    const struct ws_events *events;
    struct ws_kind *next; /* in the pool */
};

/* A data message while it is incomplete. */
struct ws_message {
    struct bytes data;   /* as it came: may be compressed */
    struct quota *input; /* counts it */
    uint32_t fragments;
    bool is_text;
    bool is_deflated;
    struct utf8_stream utf8;
};

/* The answer to a ping that has to wait until other bytes have left; a newer one replaces it. */
struct ws_pong {
    uint8_t len;
    char payload[WS_CONTROL_MAX];
};

/* What the WebSockets of a server share. Made at its first one. */
struct ws_pool {
    struct http_shared shared;
    struct ws_frame *frames; /* that nobody is reading with */
    uint32_t frame_count;
    uint32_t borrowed;
    struct ws_kind *kinds;        /* a few */
    struct ws_inflater *inflater; /* NULL until it is needed */
    struct bytes inflated;        /* the message that is being delivered */
    struct bytes deflated;        /* the message that is being sent */
};

static inline struct conn *ws_link_of(const struct websocket *ws)
{
    return &ws->guest.session->conn;
}
static inline struct ws_pool *ws_shared_of(const struct websocket *ws)
{
    return container_of(ws->guest.session->server->shared, struct ws_pool, shared);
}

/* ws_pool.c: */
struct ws_pool *ws_pool_of(struct http_server *server); /* makes it when there is none */
const struct ws_kind *ws_pool_kind(struct ws_pool *pool, const struct ws_options *options,
                                   const struct ws_events *events);
struct ws_frame *ws_frame_borrow(struct ws_pool *pool);
void ws_frame_return(struct ws_frame *frame);

/* ws.c: */
/* Whether what the peer sends has to wait: for the application, or because it does not take what we
 * send. */
bool ws_must_wait(struct websocket *ws);
void ws_fail(struct websocket *ws, int code); /* the peer broke a rule; ws is gone after this */
void ws_on_peer_close(struct websocket *ws, int code, const char *reason, size_t len); /* so here */

/* ws_message.c: */
/* How many bytes were taken; the others have to wait. ws can be gone after this. */
size_t ws_read(struct websocket *ws, const char *data, size_t len);
void ws_message_free(struct ws_message *message); /* NULL is allowed */

/* ws_send.c: */
void ws_send_control(struct websocket *ws, unsigned opcode, const void *payload, size_t len);
void ws_send_close(struct websocket *ws, int code, const char *reason, size_t len);
void ws_answer_ping(struct websocket *ws, const char *payload, size_t len);
void ws_send_owed(struct websocket *ws); /* the pong that had to wait */

/* ws_handshake.c: */
/* Ends the head that was begun with 101. The window bits to deflate with, 0: not to. -1: there is
 * no memory for it, and nothing was answered. */
int ws_shake_hands(struct request *rq, const char *protocol, bool deflate);

#endif

/* What the files of the WebSocket side share: websocket.c (its life), ws_message.c (what comes in)
 * and ws_send.c (what goes out). Nobody else includes this. */
#ifndef HTTP_WS_STATE_H
#define HTTP_WS_STATE_H

#include "base/utf8.h"
#include "http/guest.h"
#include "http/session_state.h"
#include "http/websocket.h"
#include "http/ws_frame.h"

/* A close code that wslay does not have. */
#define WS_TRY_AGAIN_LATER 1013

struct ws_inflater;
struct ws_known_options;

enum ws_state {
    WS_OPEN,
    WS_CLOSING, /* our close frame was sent: nothing but the peer's is of interest */
    WS_ENDED    /* on_close is being called */
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

/* Kept small: there may be a hundred thousand, and most of them are idle. The session's deadline
 * watches over it, and the session's `rest` has what came too early. */
struct websocket {
    struct guest guest; /* of its session, until it ends */
    const struct ws_events *events;
    const struct ws_options *options; /* the pool's */
    void *owner;
    struct ws_frame *frame;     /* NULL between frames */
    struct ws_message *message; /* NULL between messages */
    struct ws_pong *pong;       /* NULL: none is owed */
    uint64_t id;
    uint32_t heard_ms;   /* when bytes came last: the low half of the loop's clock */
    uint8_t state;       /* enum ws_state */
    uint8_t window_bits; /* the most we may compress with; 0: permessage-deflate was not agreed on
                          */
    bool is_paused;
    bool awaits_pong; /* a ping was sent and nothing heard since */
};

/* What the WebSockets of a server share. Made at its first one. */
struct ws_pool {
    struct ws_frame *frames; /* that nobody is reading with */
    uint32_t frame_count;
    uint32_t borrowed;
    struct ws_known_options *options; /* a few, that many have in common */
    struct ws_inflater *inflater;     /* NULL until it is needed */
    struct bytes inflated;            /* the message that is being delivered */
    struct bytes deflated;            /* the message that is being sent */
    uint64_t last_id;
};

static inline struct conn *conn_of(const struct websocket *ws)
{
    return &ws->guest.session->conn;
}
static inline struct ws_pool *pool_of(const struct websocket *ws)
{
    return ws->guest.session->server->ws_pool;
}

/* ws_pool.c: */
struct ws_pool *ws_pool_of(struct http_server *server); /* makes it when there is none */
/* The same, in memory of the pool. */
const struct ws_options *ws_pool_options(struct ws_pool *pool, const struct ws_options *options);
struct ws_frame *ws_frame_borrow(struct ws_pool *pool);
void ws_frame_return(struct ws_frame *frame);

/* websocket.c: */
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
/* Ends the head that was begun with 101. The window bits to deflate with, 0: not to. */
int ws_shake_hands(struct request *rq, const char *protocol, bool deflate);

#endif

/* The WebSocket side of a connection that was upgraded (RFC 6455, 7692): frames in, messages up;
 * messages down, frames out; pings and the close handshake. A member of its owner's object; wslay's
 * frame contexts are borrowed from the server's pool only while a frame is partly received. */
#ifndef WS_WS_H
#define WS_WS_H

#include "base/blob.h"
#include "base/bytes.h"
#include "http/guest.h"
#include "http/request.h"
#include "net/conn.h"

struct websocket;

/* ---- the handshake: ws/ws_handshake.c ---- */

struct ws_offer {
    bool is_valid; /* GET, HTTP/1.1, Upgrade + Connection, version 13, a 16-byte key, no body */
    int refusal;   /* else the status: 400, 405, 426 (with Sec-WebSocket-Version: 13) */
    bool has_origin;
    bool is_same_origin; /* Origin's host and port are Host's */
    /* permessage-deflate in a form that we take (no context takeover both ways). */
    bool can_deflate;
};
void ws_offer_read(const struct request *rq, struct ws_offer *offer);
/* Whether the client offers that subprotocol. */
bool ws_offers_protocol(const struct request *rq, const char *protocol, size_t len);

/* ---- life ---- */

struct ws_options {
    uint64_t max_message;   /* bytes, also inflated: 1009 */
    uint32_t max_fragments; /* of a message, empty ones count: 1009 */
    uint32_t ping_ms;       /* idle time before a ping, 0 = none */
    uint32_t pong_ms;       /* an answer to it within, else 1006 */
    uint32_t close_ms;      /* the close handshake within, else 1006 */
    bool deflate;           /* permessage-deflate, when the client offers it */
};

/* None is called from inside a ws_... function; each may call any of them. */
struct ws_events {
    /* A whole message (UTF-8 checked when is_text). `data` is valid during the call. */
    void (*on_message)(struct websocket *ws, const char *data, size_t len, bool is_text);
    void (*on_drained)(struct websocket *ws);   /* what was sent has left */
    void (*on_new_owner)(struct websocket *ws); /* of its server */
    /* The end, once. `code` is the peer's (1005: it gave none), ours when it broke a rule, or 1006:
     * it left or fell silent. The last event; the owner may free the memory. */
    void (*on_close)(struct websocket *ws, int code, const char *reason, size_t len);
};

enum ws_state {
    WS_OPEN,
    WS_CLOSING, /* our close frame was sent: nothing but the peer's is of interest */
    WS_ENDED    /* on_close is being called, or was */
};

/* Kept small: there may be a hundred thousand, and most of them are idle. The session's deadline
 * watches over it, and the session's `early` has what came too early. */
struct websocket {
    struct guest guest;         /* of its session, until it ends */
    const struct ws_kind *kind; /* options and events: the pool's */
    struct ws_frame *frame;     /* NULL between frames */
    struct ws_message *message; /* NULL between messages */
    struct ws_pong *pong;       /* NULL: none is owed */
    uint32_t heard_ms;          /* when bytes came last: the low half of the loop's clock */
    uint8_t state;              /* enum ws_state */
    /* The most we may compress with; 0: permessage-deflate was not agreed on. */
    uint8_t window_bits;
    bool is_paused;
    bool awaits_pong; /* a ping was sent and nothing heard since */
};

/* Answers the request with 101 (the caller began that with response_begin and added its own head
 * lines by response_header) and turns its connection into `ws`, which is all zero. ws_offer_read
 * must have found it valid. `options` are copied, `events` stay. The request is detached:
 * session_request_done still has to come. False: the client has left, or there is no memory;
 * nothing was answered. While the server drains, ws_close(1001) follows at once. */
bool ws_accept(struct websocket *ws, struct request *rq, const struct ws_options *options,
               const struct ws_events *events, const char *protocol);
bool ws_is_open(const struct websocket *ws);      /* nobody has begun to close it */
struct conn *ws_conn(const struct websocket *ws); /* NULL from on_close on */

/* Stops reading, so that messages wait in the kernel, and goes on. on_message is not called in
 * between. */
void ws_pause(struct websocket *ws);
void ws_resume(struct websocket *ws);

/* ---- sending: never waits, never fails; after ws_close nothing is sent ---- */

/* Compresses when that was agreed on and makes it smaller. */
void ws_send(struct websocket *ws, const void *data, size_t len, bool is_text);
/* Above CONN_HIGH_WATER: better wait for on_drained. */
size_t ws_unsent(const struct websocket *ws);
/* Sends what the kernel takes now of ready frames (see below), which lie one behind the other and
 * end at `ends`, and keeps the rest of at most one. How many were taken; when not all, on_drained
 * will come. */
int ws_send_frames(struct websocket *ws, const char *frames, const size_t *ends, int count);
bool ws_can_deflate(const struct websocket *ws); /* whether it takes ws_frame_deflated_new */

/* Starts the close handshake; idempotent. Nothing that comes after this is delivered. Code 1005:
 * the frame has none. A reason of more than 123 bytes is cut. */
void ws_close(struct websocket *ws, int code, const char *reason, size_t len);

/* ---- frames ready for any number of clients ---- */

struct blob *ws_frame_new(const void *data, size_t len, bool is_text);
/* Compressed without context takeover; NULL when that would not be smaller. */
struct blob *ws_frame_deflated_new(const void *data, size_t len, bool is_text);

#endif

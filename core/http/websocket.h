/* The WebSocket side of a connection that was upgraded (RFC 6455, 7692): frames in, messages up;
 * messages down, frames out; pings and the close handshake. Owned by its session; wslay's frame
 * contexts are borrowed from the server's pool only while a frame is partly received. */
#ifndef HTTP_WEBSOCKET_H
#define HTTP_WEBSOCKET_H

#include "base/blob.h"
#include "base/bytes.h"
#include "http/request.h"
#include "net/conn.h"

struct guest;
struct websocket;

/* ---- the handshake: http/ws_handshake.c ---- */

struct ws_offer {
    bool is_valid; /* GET, HTTP/1.1, Upgrade + Connection, version 13, a 16-byte key, no body */
    int refusal;   /* else the status: 400, 405, 426 (with Sec-WebSocket-Version: 13) */
    bool has_origin;
    bool is_same_origin; /* Origin's host and port are Host's */
    bool can_deflate; /* permessage-deflate in a form that we take (no context takeover both ways)
                       */
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
     * it left or fell silent. The last event; the memory goes after this. */
    void (*on_close)(struct websocket *ws, int code, const char *reason, size_t len);
};

/* Answers the request with 101 (the caller began that with response_begin and added its own head
 * lines by response_header) and turns its connection into a WebSocket. ws_offer_read must have
 * found it valid. `options` are copied. The request is detached: request_done still has to come.
 * NULL: the client has left. While the server drains, ws_close(1001) follows at once. */
struct websocket *ws_accept(struct request *rq, const struct ws_options *options,
                            const struct ws_events *events, const char *protocol, void *owner);
/* Whom to tell from now on. */
void ws_bind(struct websocket *ws, const struct ws_events *events, void *owner);
void *ws_owner(const struct websocket *ws);
struct guest *ws_guest(struct websocket *ws);
uint64_t ws_id(const struct websocket *ws);  /* unique in its server */
bool ws_is_open(const struct websocket *ws); /* nobody has begun to close it */
struct conn *ws_conn(struct websocket *ws);  /* NULL while on_close is called */

/* Stops reading, so that messages wait in the kernel, and goes on. on_message is not called in
 * between. */
void ws_pause(struct websocket *ws);
void ws_resume(struct websocket *ws);

/* ---- sending: never waits, never fails; after ws_close nothing is sent ---- */

/* Compresses when that was agreed on and makes it smaller. */
void ws_send(struct websocket *ws, const void *data, size_t len, bool is_text);
size_t ws_unsent(const struct websocket *ws); /* above CONN_HIGH_WATER: better wait for on_drained
                                               */
/* Sends what the kernel takes now of ready frames (see below), which lie one behind the other and
 * end at `ends`, and keeps the rest of at most one. How many were taken; when not all, on_drained
 * will come. */
int ws_send_frames(struct websocket *ws, const char *frames, const size_t *ends, int count);
bool ws_can_deflate(const struct websocket *ws); /* whether it takes ws_frame_deflated_new */

/* Starts the close handshake; idempotent. Nothing that comes after this is delivered. Code 1005:
 * the frame has none. A reason of more than 123 bytes is cut. */
void ws_close(struct websocket *ws, int code, const char *reason, size_t len);
void ws_abort(struct websocket *ws); /* closes now: on_close(1006) comes */

/* ---- frames ready for any number of clients ---- */

struct blob *ws_frame_new(const void *data, size_t len, bool is_text);
/* Compressed without context takeover; NULL when that would not be smaller. */
struct blob *ws_frame_deflated_new(const void *data, size_t len, bool is_text);

/* ---- all of a server's ---- */

struct ws_pool;                          /* what they share */
void ws_pool_free(struct ws_pool *pool); /* for http_server_deinit */

#endif

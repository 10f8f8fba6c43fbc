/* The WebSocket side of a connection that was upgraded (RFC 6455, 7692): frames in, messages up; messages down, frames
 * out; pings and the close handshake. Owned by its session; wslay's frame contexts are borrowed from the server's pool only
 * while a frame is partly received. */
#ifndef HTTP_WEBSOCKET_H
#define HTTP_WEBSOCKET_H

#include "base/blob.h"
#include "base/bytes.h"
#include "http/request.h"
#include "net/conn.h"

struct websocket;

/* ---- the handshake: http/ws_handshake.c ---- */

struct ws_offer {
    bool is_valid;     /* GET, HTTP/1.1, Upgrade + Connection, version 13, a 16-byte key, no body */
    int refusal;       /* else the status: 400, 405, 426 (with Sec-WebSocket-Version: 13) */
    bool has_origin;
    bool is_same_origin; /* Origin's host and port are Host's */
    bool can_deflate;  /* permessage-deflate in a form that we take (no context takeover both ways) */
};
void ws_offer_read(const struct request *rq, struct ws_offer *offer);
/* Whether the client offers that subprotocol. */
bool ws_offers_protocol(const struct request *rq, const char *protocol, size_t len);

/* ---- life ---- */

struct ws_options {
    uint64_t max_message; /* bytes, also inflated */
    uint32_t max_fragments;
    uint32_t ping_ms;     /* idle time before a ping, 0 = none */
    uint32_t pong_ms;     /* an answer to it within */
    uint32_t close_ms;    /* the close handshake within */
    bool deflate;         /* was agreed on */
};

struct ws_events {
    /* A whole message (UTF-8 checked when is_text). `data` is valid during the call. */
    void (*on_message)(struct websocket *ws, const char *data, size_t len, bool is_text);
    void (*on_drained)(struct websocket *ws); /* what was sent has left */
    /* The end, once: 1005 without a code, 1006 without a close frame. No more events; the memory goes after this. */
    void (*on_close)(struct websocket *ws, int code, const char *reason, size_t len);
};

/* Answers the request with 101 (extra head lines were added by response_header after response_begin(rq, 101)) and turns its
 * connection into a WebSocket. The request is detached: the caller still has to call request_done. NULL: gone. */
struct websocket *ws_accept(struct request *rq, const struct ws_options *options, const struct ws_events *events,
                            const char *protocol, void *owner);
void *ws_owner(const struct websocket *ws);
uint64_t ws_id(const struct websocket *ws);
struct conn *ws_conn(struct websocket *ws);

/* Stops reading, so that messages wait in the kernel, and goes on. on_message is not called in between. */
void ws_pause(struct websocket *ws);
void ws_resume(struct websocket *ws);

/* ---- sending: never waits, never fails; after ws_close nothing is sent ---- */

void ws_send(struct websocket *ws, const void *data, size_t len, bool is_text); /* compresses when agreed and worthwhile */
size_t ws_unsent(const struct websocket *ws);
/* What the kernel takes of ready frames (made by ws_frame_*), which are sent whole or, for one of them, kept until it
 * has left: `ends` are the offsets behind each of `count` frames. The number of frames taken. */
int ws_send_frames(struct websocket *ws, const char *frames, const size_t *ends, int count);
bool ws_can_deflate(const struct websocket *ws);
void ws_close(struct websocket *ws, int code, const char *reason, size_t len); /* starts the close handshake; idempotent */
void ws_abort(struct websocket *ws); /* closes now: on_close(1006) comes */

/* ---- frames ready for any number of clients ---- */

struct blob *ws_frame_new(const void *data, size_t len, bool is_text);
/* Compressed without context takeover; NULL when that would not be smaller. */
struct blob *ws_frame_deflated_new(const void *data, size_t len, bool is_text);

/* ---- all of a server's ---- */

void ws_drain_all(struct http_server *server, int code); /* 1001 or 1012 to each */

#endif

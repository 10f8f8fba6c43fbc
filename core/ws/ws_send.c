/* What goes out on a WebSocket: messages, frames that were made for many, and control frames, which
 * do not wait for what the peer has not taken yet. */
#include "base/mem.h"
#include "ws/ws_deflate.h"
#include "ws/ws_state.h"

#include <string.h>

#define KEPT_SCRATCH 65536 /* a larger buffer is not kept for the next message */

static unsigned first_byte(bool is_text)
{
    return WS_FINAL | (unsigned)(is_text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME);
}

static void write_frame(struct websocket *ws, unsigned first, const void *payload, size_t len)
{
    struct conn *conn = ws_link_of(ws);
    char head[WS_HEAD_MAX];
    size_t head_len = ws_frame_head(head, first, len);
    conn_cork(conn); /* so that both leave together, a long payload without being copied */
    conn_write(conn, head, head_len);
    conn_write(conn, payload, len);
    conn_uncork(conn);
}

/* ---- messages ---- */

static bool send_deflated(struct websocket *ws, const void *data, size_t len, bool is_text)
{
    struct bytes *deflated = &ws_shared_of(ws)->deflated;
    if (ws->window_bits == 0 || len < WS_DEFLATE_MIN)
        return false;
    bytes_clear(deflated);
    bool is_smaller = ws_deflate(deflated, data, len, ws->window_bits);
    if (is_smaller)
        write_frame(ws, first_byte(is_text) | WS_DEFLATED, deflated->data, deflated->len);
    if (deflated->cap > KEPT_SCRATCH)
        bytes_deinit(deflated);
    return is_smaller;
}

/* Whether a slow client would have to wait for it where there is no room to. */
static bool is_crowded(const struct websocket *ws, size_t len)
{
    struct conn *conn = ws_link_of(ws);
    return conn_unsent(conn) > 0 && !conn_has_room(conn, len + WS_HEAD_MAX);
}

void ws_send(struct websocket *ws, const void *data, size_t len, bool is_text)
{
    if (ws->state != WS_OPEN)
        return;
    if (is_crowded(ws, len)) {
        quota_refuse(conn_loop(ws_link_of(ws))->output);
        ws_close(ws, WS_TRY_AGAIN_LATER, NULL, 0);
    } else if (!send_deflated(ws, data, len, is_text)) {
        write_frame(ws, first_byte(is_text), data, len);
    }
}

size_t ws_unsent(const struct websocket *ws)
{
    return ws->guest.session ? conn_unsent(ws_link_of(ws)) : 0;
}

int ws_send_frames(struct websocket *ws, const char *frames, const size_t *ends, int count)
{
    if (ws->state != WS_OPEN || count == 0)
        return 0;
    return conn_write_pieces(ws_link_of(ws), frames, ends, count);
}

bool ws_can_deflate(const struct websocket *ws)
{
    return ws->window_bits == WS_WINDOW_BITS_MAX;
}

/* ---- control frames ---- */

void ws_send_control(struct websocket *ws, unsigned opcode, const void *payload, size_t len)
{
    char frame[2 + WS_CONTROL_MAX];
    size_t head_len = ws_frame_head(frame, WS_FINAL | opcode, len);
    if (len > 0)
        memcpy(frame + head_len, payload, len);
    conn_write(ws_link_of(ws), frame, head_len + len);
}

/* Cuts between two characters. */
static size_t fitting(const char *text, size_t len, size_t max)
{
    if (len <= max)
        return len;
    while (max > 0 && ((unsigned char)text[max] & 0xC0) == 0x80)
        max--;
    return max;
}

void ws_send_close(struct websocket *ws, int code, const char *reason, size_t len)
{
    char payload[WS_CONTROL_MAX];
    if (code == 0 || code == WSLAY_CODE_NO_STATUS_RCVD) {
        ws_send_control(ws, WSLAY_CONNECTION_CLOSE, NULL, 0);
        return;
    }
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    len = fitting(reason, len, sizeof(payload) - 2);
    if (len > 0)
        memcpy(payload + 2, reason, len);
    ws_send_control(ws, WSLAY_CONNECTION_CLOSE, payload, len + 2);
}

/* A peer that pings without reading must not make us gather answers: while bytes wait, only the
 * newest ping is remembered. */
void ws_answer_ping(struct websocket *ws, const char *payload, size_t len)
{
    if (ws->state != WS_OPEN)
        return;
    if (!ws_link_of(ws)->outbox) {
        ws_send_control(ws, WSLAY_PONG, payload, len);
        return;
    }
    if (!ws->pong)
        ws->pong = mem_alloc(sizeof(*ws->pong));
    ws->pong->len = (uint8_t)len;
    memcpy(ws->pong->payload, payload, len);
}

void ws_send_owed(struct websocket *ws)
{
    struct ws_pong *pong = ws->pong;
    ws->pong = NULL;
    if (pong && ws->state == WS_OPEN)
        ws_send_control(ws, WSLAY_PONG, pong->payload, pong->len);
    mem_free(pong);
}

/* ---- frames for any number of clients ---- */

static struct blob *blob_of(unsigned first, const void *payload, size_t len)
{
    char head[WS_HEAD_MAX];
    size_t head_len = ws_frame_head(head, first, len);
    struct blob *blob = blob_new(head_len + len);
    memcpy(blob->data, head, head_len);
    if (len > 0)
        memcpy(blob->data + head_len, payload, len);
    return blob;
}

struct blob *ws_frame_new(const void *data, size_t len, bool is_text)
{
    return blob_of(first_byte(is_text), data, len);
}

struct blob *ws_frame_deflated_new(const void *data, size_t len, bool is_text)
{
    struct bytes deflated = {0};
    struct blob *blob = NULL;
    if (len >= WS_DEFLATE_MIN && ws_deflate(&deflated, data, len, WS_WINDOW_BITS_MAX))
        blob = blob_of(first_byte(is_text) | WS_DEFLATED, deflated.data, deflated.len);
    bytes_deinit(&deflated);
    return blob;
}

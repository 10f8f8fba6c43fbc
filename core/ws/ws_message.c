/* What comes in on a WebSocket: bytes to frames, frames to messages, with the rules and limits that
 * wslay's frame API leaves to us. */
#include "base/mem.h"
#include "ws/ws_deflate.h"
#include "ws/ws_state.h"

#include <errno.h>
#include <string.h>

#define KEPT_INFLATED 65536 /* a larger buffer is not kept for the next message */

/* Bytes that compressing may add to what cannot be compressed. */
#define DEFLATE_EXCESS(len) (((len) >> 10) + 64)

void ws_message_free(struct ws_message *message)
{
    if (!message)
        return;
    quota_change(message->input, message->data.len, 0);
    bytes_deinit(&message->data);
    mem_free(message);
}

/* ---- heads: each check gives 0 or the code to close with ---- */

static bool is_control(const struct ws_frame *frame)
{
    return frame->opcode & 8;
}

static int check_form(const struct websocket *ws, const struct ws_frame *frame)
{
    bool is_first = frame->opcode == WSLAY_TEXT_FRAME || frame->opcode == WSLAY_BINARY_FRAME;
    bool is_known = is_first || frame->opcode == WSLAY_CONTINUATION_FRAME ||
                    (frame->opcode >= WSLAY_CONNECTION_CLOSE && frame->opcode <= WSLAY_PONG);
    uint8_t allowed = is_first && ws->window_bits > 0 ? WSLAY_RSV1_BIT : WSLAY_RSV_NONE;
    bool is_short = frame->length <= WS_CONTROL_MAX && frame->is_final;
    bool is_well = is_known && frame->is_masked && (frame->reserved & ~allowed) == 0 &&
                   frame->length >> 63 == 0 && (is_short || !is_control(frame));
    return is_well ? 0 : WSLAY_CODE_PROTOCOL_ERROR;
}

/* A data frame's place in its message, and the limits, before any memory is spent on it. */
static int check_place(struct websocket *ws, const struct ws_frame *frame)
{
    struct ws_message *message = ws->message;
    bool goes_on = frame->opcode == WSLAY_CONTINUATION_FRAME;
    if (goes_on != (message != NULL))
        return WSLAY_CODE_PROTOCOL_ERROR;
    if (message && ++message->fragments > ws->kind->options.max_fragments)
        return WSLAY_CODE_MESSAGE_TOO_BIG;

    uint64_t max = ws->kind->options.max_message;
    if (message ? message->is_deflated : frame->reserved != 0)
        max += DEFLATE_EXCESS(max);
    uint64_t before = message ? message->data.len : 0;
    return frame->length > max - before ? WSLAY_CODE_MESSAGE_TOO_BIG : 0;
}

static int check_head(struct websocket *ws, const struct ws_frame *frame)
{
    int code = check_form(ws, frame);
    if (code || is_control(frame) || ws->state != WS_OPEN)
        return code;
    return check_place(ws, frame);
}

/* ---- messages ---- */

static int deliver(struct websocket *ws, const char *data, size_t len, bool is_text)
{
    if (ws->state == WS_OPEN)
        ws->kind->events->on_message(ws, data ? data : "", len, is_text); /* may close or pause */
    return 0;
}

/* The usual case: a message that is in one piece is not copied. */
static int take_whole(struct websocket *ws, const struct ws_frame *frame)
{
    bool is_text = frame->opcode == WSLAY_TEXT_FRAME;
    if (is_text && !utf8_is_valid(frame->part, frame->part_len))
        return WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA;
    return deliver(ws, frame->part, frame->part_len, is_text);
}

static struct ws_message *message_new(const struct websocket *ws, const struct ws_frame *frame)
{
    struct ws_message *message = mem_calloc(sizeof(*message));
    message->input = conn_loop(ws_link_of(ws))->input;
    message->fragments = 1;
    message->is_text = frame->opcode == WSLAY_TEXT_FRAME;
    message->is_deflated = frame->reserved & WSLAY_RSV1_BIT;
    return message;
}

static int message_append(struct ws_message *message, const char *data, size_t len)
{
    size_t before = message->data.len;
    if (!quota_change(message->input, before, before + len)) {
        quota_refuse(message->input);
        return WS_TRY_AGAIN_LATER;
    }
    if (bytes_try_append(&message->data, data, len) == 0)
        return 0;
    quota_change(message->input, before + len, before);
    return WS_TRY_AGAIN_LATER; /* no memory */
}

static int inflate_message(struct websocket *ws, const struct ws_message *message)
{
    struct ws_pool *pool = ws_shared_of(ws);
    struct bytes *text = &pool->inflated;
    if (!pool->inflater)
        pool->inflater = ws_deflate_new_inflater();
    if (!pool->inflater)
        return WS_TRY_AGAIN_LATER;
    int err = ws_deflate_inflate(pool->inflater, text, message->data.data, message->data.len,
                                 ws->kind->options.max_message);
    if (err == -ENOMEM)
        return WS_TRY_AGAIN_LATER;
    if (err)
        return err == -EINVAL ? WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA : WSLAY_CODE_MESSAGE_TOO_BIG;
    if (message->is_text && !utf8_is_valid(text->data, text->len))
        return WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA;
    return deliver(ws, text->data, text->len, message->is_text);
}

static int finish_message(struct websocket *ws)
{
    struct ws_message *message = ws->message;
    int code = 0;
    ws->message = NULL;
    if (message->is_deflated) {
        struct ws_pool *pool = ws_shared_of(ws);
        code = inflate_message(ws, message);
        if (pool->inflated.cap > KEPT_INFLATED)
            bytes_deinit(&pool->inflated);
    } else if (message->is_text && !utf8_stream_is_whole(&message->utf8)) {
        code = WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA;
    } else {
        code = deliver(ws, message->data.data, message->data.len, message->is_text);
    }
    ws_message_free(message);
    return code;
}

static int take_data(struct websocket *ws, const struct ws_frame *frame)
{
    if (ws->state != WS_OPEN)
        return 0;
    bool is_last = frame->is_done && frame->is_final;
    if (!ws->message && is_last && frame->part_len == frame->length && frame->reserved == 0)
        return take_whole(ws, frame);
    if (!ws->message)
        ws->message = message_new(ws, frame);

    struct ws_message *message = ws->message;
    if (message->is_text && !message->is_deflated &&
        !utf8_stream_feed(&message->utf8, frame->part, frame->part_len))
        return WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA;
    int code = message_append(message, frame->part, frame->part_len);
    return code == 0 && is_last ? finish_message(ws) : code;
}

/* ---- control frames ---- */

static bool is_valid_code(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static int take_close(struct websocket *ws, const char *payload, size_t len)
{
    int code = WSLAY_CODE_NO_STATUS_RCVD;
    if (len >= 2)
        code = (unsigned char)payload[0] << 8 | (unsigned char)payload[1];
    if (len == 1 || (len >= 2 && !is_valid_code(code)))
        return WSLAY_CODE_PROTOCOL_ERROR;
    size_t skip = len >= 2 ? 2 : 0;
    if (!utf8_is_valid(payload + skip, len - skip))
        return WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA;
    ws_on_peer_close(ws, code, payload + skip, len - skip); /* ws is gone after this */
    return 0;
}

static int take_control(struct websocket *ws, struct ws_frame *frame)
{
    memcpy(frame->control + frame->control_len, frame->part, frame->part_len);
    frame->control_len = (uint8_t)(frame->control_len + frame->part_len);
    if (!frame->is_done)
        return 0;
    if (frame->opcode == WSLAY_CONNECTION_CLOSE)
        return take_close(ws, frame->control, frame->control_len);
    if (frame->opcode == WSLAY_PING)
        ws_answer_ping(ws, frame->control, frame->control_len);
    return 0;
}

/* ---- bytes ---- */

/* One step; false: all of the input was used. */
static bool read_step(struct websocket *ws, const char **data, size_t *len)
{
    struct ws_frame *frame = ws->frame;
    int code = 0;
    switch (ws_frame_read(frame, data, len)) {
    case WS_FRAME_MORE: return false;
    case WS_FRAME_HEAD: code = check_head(ws, frame); break;
    case WS_FRAME_DATA:
        code = is_control(frame) ? take_control(ws, frame) : take_data(ws, frame);
        break;
    case WS_FRAME_BAD: code = WSLAY_CODE_PROTOCOL_ERROR; break;
    }
    if (code)
        ws_fail(ws, code); /* ws is gone after this */
    return true;
}

/* Between two frames: whether the next has to wait, for the application, for the peer, or for
 * others, who have not had their turn. */
static bool ws_must_stop(struct websocket *ws, bool has_read)
{
    if (ws_must_wait(ws))
        return true;
    struct conn *conn = ws_link_of(ws);
    if (!has_read || !turn_spend(&conn_loop(conn)->turn))
        return false;
    conn_await_turn(conn);
    return true;
}

size_t ws_read(struct websocket *ws, const char *data, size_t len)
{
    struct session *session = ws->guest.session;
    size_t left = len;
    bool goes_on = true;
    while (goes_on && session->guest && session->conn.state == CONN_OPEN) {
        if (!ws->frame)
            ws->frame = ws_frame_borrow(ws_shared_of(ws));
        if (ws_frame_is_between(ws->frame) && (left == 0 || ws_must_stop(ws, left < len)))
            break;
        goes_on = read_step(ws, &data, &left);
    }
    if (session->guest && ws->frame && ws_frame_is_between(ws->frame)) {
        ws_frame_return(ws->frame);
        ws->frame = NULL;
    }
    return len - left;
}

/* What a topic's message looks like to each kind of client: see encoding.h. */
#include "push/encoding.h"

#include "base/base64.h"
#include "base/quote.h"
#include "live/cursor.h"
#include "live/hub.h"
#include "live/topic.h"
#include "ws/ws.h"

#include <string.h>

#define DEFLATE_MIN 128 /* shorter payloads grow, or save less than they cost */

static struct blob *blob_of(struct bytes *bytes)
{
    struct blob *blob = blob_new(bytes->len);
    memcpy(blob->data, bytes->data, bytes->len);
    bytes_deinit(bytes);
    return blob;
}

static void append_base64(struct bytes *out, const char *data, size_t len)
{
    bytes_append(out, "\"", 1);
    bytes_reserve(out, base64_encoded_max(len) + 1);
    out->len += base64_encode(out->data + out->len, data, len, false);
    bytes_append(out, "\"", 1);
}

void encoding_append_json(struct bytes *out, const struct message *message)
{
    if (message->form == MESSAGE_JSON)
        bytes_append(out, message->data, message->len);
    else if (message->form == MESSAGE_BINARY || quote_json(out, message->data, message->len) < 0)
        append_base64(out, message->data, message->len);
}

static void append_cursor(struct bytes *out, uint64_t epoch, uint64_t seq)
{
    char cursor[CURSOR_SIZE];
    bytes_append(out, cursor, cursor_format(cursor, epoch, seq));
}

void encoding_append_gap(struct bytes *out, uint64_t epoch, uint64_t seq)
{
    bytes_append_text(out, "{\"gap\":true,\"cursor\":\"");
    append_cursor(out, epoch, seq);
    bytes_append_text(out, "\"}");
}

static struct blob *make_json(const struct message *message)
{
    struct bytes out = {0};
    encoding_append_json(&out, message);
    return blob_of(&out);
}

/* {"cursor":"...","topic":"...","data":...} */
static void append_envelope(struct bytes *out, const struct message *message)
{
    bytes_append_text(out, "{\"cursor\":\"");
    append_cursor(out, hub_epoch(message->hub), message->seq);
    bytes_append_text(out, "\",\"topic\":");
    if (quote_json(out, message->topic, message->topic_len) < 0)
        bytes_append_text(out, "\"\"");
    bytes_append_text(out, ",\"data\":");
    encoding_append_json(out, message);
    bytes_append(out, "}", 1);
}

/* ---- WebSocket ---- */

static struct blob *make_frame(const struct message *message)
{
    return ws_frame_new(message->data, message->len, message->form != MESSAGE_BINARY);
}

/* Compressed, or plain when that is no smaller: a receiver takes both. */
static struct blob *deflated(const char *data, size_t len, bool is_text)
{
    struct blob *blob = len >= DEFLATE_MIN ? ws_frame_deflated_new(data, len, is_text) : NULL;
    return blob ? blob : ws_frame_new(data, len, is_text);
}

static struct blob *make_frame_deflated(const struct message *message)
{
    return deflated(message->data, message->len, message->form != MESSAGE_BINARY);
}

static struct blob *make_envelope(const struct message *message)
{
    struct bytes out = {0};
    append_envelope(&out, message);
    struct blob *blob = ws_frame_new(out.data, out.len, true);
    bytes_deinit(&out);
    return blob;
}

static struct blob *make_envelope_deflated(const struct message *message)
{
    struct bytes out = {0};
    append_envelope(&out, message);
    struct blob *blob = deflated(out.data, out.len, true);
    bytes_deinit(&out);
    return blob;
}

/* ---- server-sent events ---- */

/* One "data:" line for each line of the payload. */
static void append_data_lines(struct bytes *out, const char *data, size_t len)
{
    const char *end = data + len;
    for (;;) {
        const char *stop = data;
        while (stop < end && *stop != '\n' && *stop != '\r')
            stop++;
        bytes_append_text(out, "data: ");
        bytes_append(out, data, (size_t)(stop - data));
        bytes_append(out, "\n", 1);
        if (stop == end)
            return;
        data = stop + (*stop == '\r' && stop + 1 < end && stop[1] == '\n' ? 2 : 1);
    }
}

static void append_event(struct bytes *out, const struct message *message)
{
    bytes_append_text(out, "id: ");
    append_cursor(out, hub_epoch(message->hub), message->seq);
    bytes_append(out, "\n", 1);
    if (message->event_len > 0) {
        bytes_append_text(out, "event: ");
        bytes_append(out, message->event, message->event_len);
        bytes_append(out, "\n", 1);
    }
    if (message->form == MESSAGE_BINARY) {
        struct bytes text = {0};
        append_base64(&text, message->data, message->len);
        append_data_lines(out, text.data + 1, text.len - 2);
        bytes_deinit(&text);
    } else {
        append_data_lines(out, message->data, message->len);
    }
    bytes_append(out, "\n", 1);
}

static struct blob *make_event_plain(const struct message *message)
{
    struct bytes out = {0};
    append_event(&out, message);
    return blob_of(&out);
}

static struct blob *make_event(const struct message *message)
{
    struct bytes event = {0};
    struct bytes chunk = {0};
    append_event(&event, message);
    bytes_printf(&chunk, "%zx\r\n", event.len);
    bytes_append(&chunk, event.data, event.len);
    bytes_append(&chunk, "\r\n", 2);
    bytes_deinit(&event);
    return blob_of(&chunk);
}

message_encode_fn encoding_maker(enum message_encoding which)
{
    static const message_encode_fn makers[ENCODINGS] = {
        [ENCODING_WS] = make_frame,
        [ENCODING_WS_DEFLATED] = make_frame_deflated,
        [ENCODING_WS_ENVELOPE] = make_envelope,
        [ENCODING_WS_ENVELOPE_DEFLATED] = make_envelope_deflated,
        [ENCODING_SSE] = make_event,
        [ENCODING_SSE_PLAIN] = make_event_plain,
        [ENCODING_JSON] = make_json,
    };
    return makers[which];
}

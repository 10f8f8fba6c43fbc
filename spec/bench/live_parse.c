/* What servers send to live_client: HTTP answers, WebSocket frames, server-sent events. */
#include "live_parse.h"

#include "live_message.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t frame_read(const char *bytes, size_t size, struct frame *frame)
{
    const unsigned char *head = (const unsigned char *)bytes;
    if (size < 2)
        return 0;
    size_t head_size = 2, len = head[1]; /* a server masks nothing */
    if (len > 126 || !(head[0] & 0x80))
        errx(1, "a frame of a kind that no message here needs");
    if (len == 126) {
        head_size = 4;
        if (size < head_size)
            return 0;
        len = (size_t)head[2] << 8 | head[3];
    }
    if (size < head_size + len)
        return 0;
    frame->opcode = head[0] & 15;
    frame->is_deflated = head[0] & 0x40;
    frame->bytes = bytes + head_size;
    frame->size = len;
    return head_size + len;
}

/* --- HTTP ------------------------------------------------------------------------------------- */

static void header_copy(const char *head, const char *name, char *out, size_t size)
{
    const char *at = strcasestr(head, name);
    size_t len = at ? strcspn(at + strlen(name), "\r") : 0;
    if (len >= size)
        errx(1, "the header%.20s is too long", name + 1);
    memcpy(out, at ? at + strlen(name) : "", len);
    out[len] = '\0';
}

size_t answer_read(char *bytes, size_t size, bool is_head_only, struct answer *answer)
{
    char length[24];
    char *end = memmem(bytes, size, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head_size = (size_t)(end + 4 - bytes);
    end[2] = '\0'; /* for the time of looking into it */
    answer->status = strncmp(bytes, "HTTP/1.1 ", 9) == 0 ? atoi(bytes + 9) : 0;
    header_copy(bytes, "\nContent-Length: ", length, sizeof(length));
    header_copy(bytes, "\nTopic-Cursor: ", answer->cursor, sizeof(answer->cursor));
    header_copy(bytes, "\nLast-Modified: ", answer->modified, sizeof(answer->modified));
    header_copy(bytes, "\nETag: ", answer->etag, sizeof(answer->etag));
    bool is_chunked = strcasestr(bytes, "\nTransfer-Encoding: ");
    end[2] = '\r';

    if (!answer->status || (is_chunked && !is_head_only))
        errx(1, "not an answer of known length: %.*s", (int)head_size, bytes);
    answer->body = bytes + head_size;
    answer->body_size = is_head_only ? 0 : strtoul(length, NULL, 10);
    return size < head_size + answer->body_size ? 0 : head_size + answer->body_size;
}

/* {"cursor":"...","items":["...","..."]}, strings without escapes; or nchan's: the message
 * itself. */
void answer_deliver(const struct answer *answer, uint64_t *seen)
{
    static const char items[] = "\"items\":[";
    const char *end = answer->body + answer->body_size;
    if (answer->body_size == 0)
        return; /* 204: nothing was published for a while */
    if (answer->body[0] != '{') {
        message_delivered(seen, answer->body, answer->body_size, false);
        return;
    }
    const char *at = memmem(answer->body, answer->body_size, items, sizeof(items) - 1);
    if (!at)
        errx(1, "no items in the answer to a poll: %.*s", (int)answer->body_size, answer->body);
    at += sizeof(items) - 1;
    while (at < end && *at == '"') {
        const char *close = memchr(at + 1, '"', (size_t)(end - at - 1));
        if (!close)
            errx(1, "an item without an end");
        message_delivered(seen, at + 1, (size_t)(close - at - 1), false);
        at = close + 2; /* a comma, or the end of the list */
    }
}

/* --- server-sent events ----------------------------------------------------------------------- */

/* Lines of chunked framing between the events are passed over like any that are not data. */
size_t events_deliver(const char *bytes, size_t size, uint64_t *seen)
{
    const char *at = bytes, *end = bytes + size;
    for (;;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end)
            return (size_t)(at - bytes);
        size_t len = (size_t)(line_end - at);
        if (len > 6 && memcmp(at, "data: ", 6) == 0)
            message_delivered(seen, at + 6, len - 6, false);
        at = line_end + 1;
    }
}

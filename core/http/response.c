/* Writes an answer: see response.h. */
#include "http/response.h"

#include "base/text.h"
#include "http/date.h"
#include "http/session.h"
#include "http/status.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Bodies up to this size are copied behind their head: one write for both. */
#define JOIN_MAX 16384
#define UNREAD_MAX 65536 /* a longer unread body ends the connection instead of being swallowed */

#define APPEND_LITERAL(bytes, text) bytes_append(bytes, text, sizeof(text) - 1)

static void append_number(struct bytes *bytes, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    bytes_append(bytes, digits + at, sizeof(digits) - at);
}

/* Whether the rest of the request makes it impossible to go on after this answer. */
static bool must_close(const struct request *rq)
{
    if (rq->server->is_draining || rq->stage == REQUEST_BROKEN)
        return true;
    return rq->stage == REQUEST_BODY &&
           (rq->expects_continue || rq->length > rq->body_seen + UNREAD_MAX);
}

void response_begin(struct request *rq, int status)
{
    struct bytes *head = &rq->server->head;
    bytes_clear(head);
    if (status == 200) {
        APPEND_LITERAL(head, "HTTP/1.1 200 OK\r\nDate: ");
    } else {
        APPEND_LITERAL(head, "HTTP/1.1 ");
        append_number(head, (uint64_t)status);
        bytes_append(head, " ", 1);
        bytes_append_text(head, status_reason(status));
        APPEND_LITERAL(head, "\r\nDate: ");
    }
    bytes_append(head, date_cache_line(&rq->server->date, time(NULL)), DATE_LENGTH);
    APPEND_LITERAL(head, "\r\n");
    rq->status = status;
}

static bool is_core_header(const char *name, size_t len)
{
    switch (len) {
    case 4: return text_equal_nocase(name, len, "date", len);
    case 10:
        return text_equal_nocase(name, len, "connection", len) ||
               text_equal_nocase(name, len, "keep-alive", len);
    case 14: return text_equal_nocase(name, len, "content-length", len);
    case 17: return text_equal_nocase(name, len, "transfer-encoding", len);
    default: return false;
    }
}

/* What says that the protocol changes, and to which. */
static bool is_handshake_header(const char *name, size_t len)
{
    return text_equal_nocase(name, len, "upgrade", 7) ||
           (len > 14 && text_equal_nocase(name, 14, "sec-websocket-", 14));
}

static bool is_clean_value(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* "content-type" is written as "Content-Type". */
static void append_name(struct bytes *head, const char *name, size_t len)
{
    bytes_append(head, name, len);
    char *written = head->data + head->len - len;
    bool at_start = true;
    for (size_t i = 0; i < len; i++) {
        if (at_start && written[i] >= 'a' && written[i] <= 'z')
            written[i] = (char)(written[i] - 'a' + 'A');
        at_start = written[i] == '-';
    }
}

int response_header(struct request *rq, const char *name, size_t name_len, const char *value,
                    size_t value_len)
{
    if (!text_is_token(name, name_len) || !is_clean_value(value, value_len))
        return -EINVAL;
    if (is_core_header(name, name_len) ||
        (rq->status == 101 && is_handshake_header(name, name_len)))
        return -EPERM;
    struct bytes *head = &rq->server->head;
    append_name(head, name, name_len);
    APPEND_LITERAL(head, ": ");
    bytes_append(head, value, value_len);
    APPEND_LITERAL(head, "\r\n");
    return 0;
}

void response_lines(struct request *rq, const char *lines, size_t len)
{
    bytes_append(&rq->server->head, lines, len);
}

void response_type(struct request *rq, const char *type)
{
    struct bytes *head = &rq->server->head;
    APPEND_LITERAL(head, "Content-Type: ");
    bytes_append_text(head, type);
    APPEND_LITERAL(head, "\r\n");
}

static bool status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* The lines that only the core may write, and the end of the head. */
static void append_framing(struct request *rq, uint64_t length)
{
    struct bytes *head = &rq->server->head;
    if (rq->framing == FRAMING_LENGTH) {
        APPEND_LITERAL(head, "Content-Length: ");
        append_number(head, length);
        APPEND_LITERAL(head, "\r\n");
    } else if (rq->framing == FRAMING_CHUNKED) {
        APPEND_LITERAL(head, "Transfer-Encoding: chunked\r\n");
    }
    if (must_close(rq) || rq->framing == FRAMING_CLOSE)
        rq->wants_close = true;
    if (rq->wants_close)
        APPEND_LITERAL(head, "Connection: close\r\n");
    else if (rq->is_http10)
        APPEND_LITERAL(head, "Connection: keep-alive\r\n");
    APPEND_LITERAL(head, "\r\n");
}

static void write_out(struct request *rq, const void *data, size_t len)
{
    struct conn *conn = session_conn_of(rq);
    if (conn && len > 0)
        conn_write(conn, data, len);
}

void response_send(struct request *rq, const void *body, size_t len)
{
    struct bytes *head = &rq->server->head;
    bool has_body = status_has_body(rq->status);
    rq->framing = has_body ? FRAMING_LENGTH : FRAMING_NONE;
    append_framing(rq, len);
    rq->answer = ANSWER_ENDED;
    if (!has_body || rq->is_head)
        len = 0;
    rq->sent = len;
    if (len <= JOIN_MAX) {
        bytes_append(head, body, len);
        write_out(rq, head->data, head->len);
        return;
    }
    write_out(rq, head->data, head->len);
    write_out(rq, body, len);
}

void response_switch(struct request *rq, const char *protocol)
{
    struct bytes *head = &rq->server->head;
    assert(rq->status == 101);
    bytes_printf(head, "Upgrade: %s\r\nConnection: Upgrade\r\n\r\n", protocol);
    rq->framing = FRAMING_NONE;
    rq->answer = ANSWER_ENDED;
    write_out(rq, head->data, head->len);
}

bool response_stream(struct request *rq, int64_t length)
{
    if (!status_has_body(rq->status))
        rq->framing = FRAMING_NONE;
    else if (length >= 0)
        rq->framing = FRAMING_LENGTH;
    else
        rq->framing = rq->is_http10 ? FRAMING_CLOSE : FRAMING_CHUNKED;
    rq->promised = length >= 0 ? (uint64_t)length : UINT64_MAX;
    append_framing(rq, rq->promised);
    write_out(rq, rq->server->head.data, rq->server->head.len);
    bool wants_body = rq->framing != FRAMING_NONE && !rq->is_head;
    rq->answer = wants_body ? ANSWER_STARTED : ANSWER_ENDED;
    return wants_body;
}

void response_write(struct request *rq, const void *data, size_t len)
{
    if (len == 0 || rq->answer != ANSWER_STARTED)
        return;
    if (rq->sent + len > rq->promised) {
        session_cut_off(rq); /* more than was announced: it would be read as the next answer */
        return;
    }
    rq->sent += len;
    if (rq->framing != FRAMING_CHUNKED) {
        write_out(rq, data, len);
        return;
    }
    struct bytes *chunk = &rq->server->head;
    bytes_clear(chunk);
    bytes_printf(chunk, "%zx\r\n", len);
    if (len <= JOIN_MAX) {
        bytes_append(chunk, data, len);
        bytes_append(chunk, "\r\n", 2);
        write_out(rq, chunk->data, chunk->len);
        return;
    }
    write_out(rq, chunk->data, chunk->len);
    write_out(rq, data, len);
    write_out(rq, "\r\n", 2);
}

void response_end(struct request *rq)
{
    if (rq->answer != ANSWER_STARTED)
        return;
    if (rq->framing == FRAMING_LENGTH && rq->sent < rq->promised) {
        session_cut_off(rq);
        return;
    }
    if (rq->framing == FRAMING_CHUNKED)
        write_out(rq, "0\r\n\r\n", 5);
    rq->answer = ANSWER_ENDED;
}

void response_plain(struct request *rq, int status)
{
    char text[64];
    int len = snprintf(text, sizeof(text), "%d %s\n", status, status_reason(status));
    response_begin(rq, status);
    response_type(rq, "text/plain; charset=utf-8");
    response_send(rq, text, (size_t)len);
}

/* Percent-encoding, request paths and query strings, in the caller's buffers. */
#include "http/uri.h"

#include <errno.h>
#include <string.h>

/* -1 for what is no hexadecimal digit. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the escape at `text` stands for, or -1. */
static int escape_value(const char *text, const char *end)
{
    if (end - text < 3)
        return -1;
    int high = hex_value(text[1]);
    int low = hex_value(text[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Decodes; with `lenient` a bad escape stays as it is. `out` never runs ahead of `text`, so they
 * may be one. */
static ssize_t decode(char *out, const char *text, size_t len, bool plus, bool lenient)
{
    const char *end = text + len;
    char *to = out;
    while (text < end) {
        char c = *text;
        int byte = c == '%' ? escape_value(text, end) : -1;
        if (byte >= 0) {
            *to++ = (char)byte;
            text += 3;
            continue;
        }
        if (c == '%' && !lenient)
            return -EINVAL;
        *to++ = plus && c == '+' ? ' ' : c;
        text++;
    }
    return to - out;
}

ssize_t uri_decode(char *out, const char *text, size_t len, bool plus)
{
    return decode(out, text, len, plus, false);
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

size_t uri_encode(char *out, const char *text, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";
    char *to = out;
    for (size_t i = 0; i < len; i++) {
        if (is_unreserved(text[i])) {
            *to++ = text[i];
            continue;
        }
        *to++ = '%';
        *to++ = digits[(unsigned char)text[i] >> 4];
        *to++ = digits[(unsigned char)text[i] & 15];
    }
    return (size_t)(to - out);
}

int uri_decode_path(const char *raw, size_t len, struct bytes *out)
{
    if (len == 0 || raw[0] != '/')
        return -EINVAL;
    bytes_clear(out);
    bytes_reserve(out, len);
    ssize_t decoded = uri_decode(out->data, raw, len, false);
    if (decoded < 0 || memchr(out->data, '\0', (size_t)decoded))
        return -EINVAL;
    out->len = (size_t)decoded;
    return 0;
}

void uri_query_init(struct uri_query *query, const char *text, size_t len, char *buffer,
                    uint32_t max_fields)
{
    query->at = text;
    query->end = text + len;
    query->out = buffer;
    query->fields = max_fields;
}

/* Decodes one name or value to the end of what the buffer holds so far. */
static const char *query_decode(struct uri_query *query, const char *text, const char *end,
                                size_t *len)
{
    char *out = query->out;
    *len = (size_t)decode(out, text, (size_t)(end - text), true, true);
    query->out += *len;
    return out;
}

int uri_query_next(struct uri_query *query, struct uri_field *field)
{
    while (query->at < query->end && *query->at == '&')
        query->at++;
    if (query->at == query->end)
        return 0;
    if (query->fields == 0)
        return -E2BIG;
    query->fields--;

    const char *text = query->at;
    const char *end = memchr(text, '&', (size_t)(query->end - text));
    if (!end)
        end = query->end;
    const char *equals = memchr(text, '=', (size_t)(end - text));
    field->name = query_decode(query, text, equals ? equals : end, &field->name_len);
    field->value = query_decode(query, equals ? equals + 1 : end, end, &field->value_len);
    query->at = end;
    return 1;
}

/* The rules for a head: see head.h. They read like a list in head_check, at the end. */
#include "http/head.h"

#include "base/text.h"
#include "http/uri.h"

#include <string.h>

/* A target has no space, control, fragment or byte beyond ASCII. */
static bool target_is_clean(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return false;
    }
    return len > 0;
}

/* "GET /target HTTP/1.1": one space each, though llhttp allows more, and other protocols. */
static bool request_line_is_clean(const struct request *rq)
{
    size_t method_len;
    request_method(rq, &method_len);
    /* There is a line end at least. */
    const char *behind = request_at(rq, rq->target) + rq->target.len;
    return rq->target.offset == method_len + 1 && behind[0] == ' ' && behind[1] == 'H';
}

/* Splits "scheme://authority/path" of an absolute-form target. Returns where the path starts, or
 * 0. */
static uint32_t absolute_split(const char *text, uint32_t len, struct span *authority)
{
    uint32_t skip = 0;
    if (len > 7 && text_equal_nocase(text, 7, "http://", 7))
        skip = 7;
    else if (len > 8 && text_equal_nocase(text, 8, "https://", 8))
        skip = 8;
    else
        return 0;
    uint32_t end = skip;
    while (end < len && text[end] != '/' && text[end] != '?')
        end++;
    *authority = (struct span){skip, end - skip};
    return end;
}

/* Splits the target into path and query; `authority` gets that of an absolute form. */
static int target_split(struct request *rq, struct span *authority)
{
    const char *text = request_at(rq, rq->target);
    uint32_t len = rq->target.len;
    if (!target_is_clean(text, len) || !request_line_is_clean(rq))
        return request_refuse(rq, 400);
    if (rq->parser.method == HTTP_CONNECT)
        return request_refuse(rq, 501);

    uint32_t start = 0;
    if (text[0] == '*') {
        if (len > 1 || rq->parser.method != HTTP_OPTIONS)
            return request_refuse(rq, 400);
    } else if (text[0] != '/') {
        start = absolute_split(text, len, authority);
        if (start == 0 || authority->len == 0)
            return request_refuse(rq, 400);
    }
    const char *mark = memchr(text + start, '?', len - start);
    uint32_t path_end = mark ? (uint32_t)(mark - text) : len;
    rq->path = (struct span){rq->target.offset + start, path_end - start};
    rq->query = mark ? (struct span){rq->target.offset + path_end + 1, len - path_end - 1}
                     : (struct span){0, 0};
    authority->offset += rq->target.offset;
    return 0;
}

/* "", ":", or ":80" up to ":65535". */
static bool port_is_valid(const char *text, size_t len)
{
    uint64_t port;
    if (len <= 1)
        return len == 0 || text[0] == ':';
    return text[0] == ':' && len <= 6 && text_parse_uint(text + 1, len - 1, &port) == 0 &&
           port <= 65535;
}

/* How long the name, or the IPv6 address in brackets, is at the start of `text`; 0: there is
 * none. */
static size_t host_name_len(const char *text, size_t len)
{
    size_t i = 0;
    if (len > 0 && text[0] == '[') {
        for (i = 1; i < len && text[i] != ']'; i++)
            if (text[i] == '\0' || !strchr("0123456789abcdefABCDEF:.", text[i]))
                return 0;
        return i >= 3 && i < len ? i + 1 : 0;
    }
    for (; i < len && text[i] != ':'; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"#%,/<>?@[\\]^`{|}", c))
            return 0;
    }
    return i;
}

/* "name", "name:port" or "[v6]:port": no userinfo, path, list or space. */
static bool host_is_valid(const char *text, size_t len)
{
    size_t name_len = host_name_len(text, len);
    return name_len > 0 && port_is_valid(text + name_len, len - name_len);
}

/* What the framing and routing headers said. */
struct head_facts {
    int hosts;
    int lengths;
    int codings;
    bool is_plain_chunked;
    bool closes; /* Connection: close */
    bool keeps;  /* Connection: keep-alive */
};

static void facts_add(struct request *rq, const struct header_span *header,
                      struct head_facts *facts)
{
    const char *name = request_at(rq, header->name);
    const char *value = request_at(rq, header->value);
    size_t value_len = header->value.len;
    switch (header->name.len) {
    case 4:
        if (text_equal_nocase(name, 4, "host", 4)) {
            facts->hosts++;
            rq->host = header->value;
        }
        break;
    case 6:
        if (text_equal_nocase(name, 6, "expect", 6)) {
            if (text_equal_nocase(value, value_len, "100-continue", 12))
                rq->expects_continue = !rq->is_http10;
            else
                rq->refusal = 417;
        }
        break;
    case 7:
        if (text_equal_nocase(name, 7, "upgrade", 7))
            rq->has_upgrade = true;
        break;
    case 10:
        if (text_equal_nocase(name, 10, "connection", 10)) {
            facts->closes |= text_list_has(value, value_len, "close");
            facts->keeps |= text_list_has(value, value_len, "keep-alive");
        }
        break;
    case 14:
        if (text_equal_nocase(name, 14, "content-length", 14))
            facts->lengths++;
        break;
    case 17:
        if (text_equal_nocase(name, 17, "transfer-encoding", 17)) {
            facts->codings++;
            facts->is_plain_chunked = text_equal_nocase(value, value_len, "chunked", 7);
        }
        break;
    default: break;
    }
}

/* Exactly one valid Host (HTTP/1.0 may leave it out), the same as an absolute target's. */
static int host_check(struct request *rq, const struct head_facts *facts, struct span authority)
{
    if (facts->hosts == 0 && rq->is_http10) {
        rq->host = authority;
        return authority.len == 0 || host_is_valid(request_at(rq, authority), authority.len)
                   ? 0
                   : request_refuse(rq, 400);
    }
    if (facts->hosts != 1 || !host_is_valid(request_at(rq, rq->host), rq->host.len))
        return request_refuse(rq, 400);
    if (authority.len > 0 && !text_equal_nocase(request_at(rq, authority), authority.len,
                                                request_at(rq, rq->host), rq->host.len))
        return request_refuse(rq, 400);
    return 0;
}

static int framing_check(struct request *rq, const struct head_facts *facts)
{
    if (facts->codings == 0)
        return facts->lengths > 1 ? request_refuse(rq, 400) : 0;
    if (facts->codings > 1 || facts->lengths > 0 || rq->is_http10)
        return request_refuse(rq, 400);
    if (!facts->is_plain_chunked || !(rq->parser.flags & F_CHUNKED))
        return request_refuse(rq, 501);
    rq->is_chunked = true;
    return 0;
}

static int path_decode(struct request *rq)
{
    const char *raw = request_at(rq, rq->path);
    if (!memchr(raw, '%', rq->path.len))
        return 0;
    return uri_decode_path(raw, rq->path.len, &rq->decoded) < 0 ? request_refuse(rq, 400) : 0;
}

int head_check(struct request *rq)
{
    struct span authority = {0, 0};
    struct head_facts facts = {0};
    if (rq->parser.http_major != 1)
        return request_refuse(rq, 505);
    rq->is_http10 = rq->parser.http_minor == 0;
    if (target_split(rq, &authority) < 0)
        return -1;
    for (int i = 0; i < rq->header_count; i++)
        facts_add(rq, &rq->headers[i], &facts);
    rq->wants_close = facts.closes || (rq->is_http10 && !facts.keeps);
    if (host_check(rq, &facts, authority) < 0 || framing_check(rq, &facts) < 0 ||
        path_decode(rq) < 0)
        return -1;
    return rq->refusal ? -1 : 0;
}

/* Feeds llhttp: see parser.h. What llhttp accepts and a server must not (Host, codings, limits) is
 * refused here, in head_check and the functions it reads like a list. */
#include "http/parser.h"

#include "base/list.h"
#include "base/text.h"
#include "http/uri.h"

#include <string.h>

static int refuse(struct request *rq, int status)
{
    rq->refusal = status;
    return -1;
}

static struct request *of(llhttp_t *parser)
{
    return container_of(parser, struct request, parser);
}

/* Where `at` stands, counted from the first byte of the head. */
static uint32_t offset_of(const struct request *rq, const char *at)
{
    return rq->head_len + (uint32_t)(at - rq->feed);
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct request *rq = of(parser);
    if (rq->target.len == 0)
        rq->target.offset = offset_of(rq, at);
    rq->target.len += (uint32_t)len;
    if (rq->target.len > rq->limits->uri)
        return refuse(rq, 414);
    return 0;
}

/* Trailers stay apart from the headers, and those that would change what the request is are
 * refused. */
static int trailer_name_check(struct request *rq, const char *name, size_t len)
{
    static const char *const forbidden[] = {"host",
                                            "content-length",
                                            "transfer-encoding",
                                            "content-encoding",
                                            "authorization",
                                            "cookie",
                                            "connection",
                                            "upgrade",
                                            "trailer",
                                            "te",
                                            "expect",
                                            "content-type",
                                            "content-range",
                                            "range",
                                            "cache-control",
                                            "max-forwards"};
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++)
        if (text_equal_nocase(name, len, forbidden[i], strlen(forbidden[i])))
            return refuse(rq, 400);
    return 0;
}

static int trailer_append(struct request *rq, const char *at, size_t len)
{
    rq->trailer_bytes += (uint32_t)len;
    if (rq->trailer_bytes > rq->limits->header_bytes)
        return refuse(rq, 431);
    bytes_append(&rq->trailers, at, len);
    return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct request *rq = of(parser);
    if (rq->stage != REQUEST_HEAD)
        return trailer_append(rq, at, len);

    struct header_span *header = &rq->headers[rq->header_count];
    if (header->name.len == 0) {
        if (rq->header_count >= rq->limits->header_count)
            return refuse(rq, 431);
        header->name.offset = offset_of(rq, at);
    }
    header->name.len += (uint32_t)len;
    return 0;
}

static int on_header_field_complete(llhttp_t *parser)
{
    struct request *rq = of(parser);
    if (rq->stage != REQUEST_HEAD) {
        size_t start = rq->trailers.len;
        while (start > 0 && rq->trailers.data[start - 1] != '\0')
            start--;
        int err = trailer_name_check(rq, rq->trailers.data + start, rq->trailers.len - start);
        bytes_append(&rq->trailers, "", 1);
        return err;
    }
    struct header_span *header = &rq->headers[rq->header_count];
    header->value = (struct span){header->name.offset + header->name.len, 0};
    rq->has_value = false;
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct request *rq = of(parser);
    if (rq->stage != REQUEST_HEAD)
        return trailer_append(rq, at, len);

    struct header_span *header = &rq->headers[rq->header_count];
    if (!rq->has_value) {
        header->value.offset = offset_of(rq, at);
        rq->has_value = true;
    }
    header->value.len += (uint32_t)len;
    uint32_t end = header->value.offset + header->value.len;
    if (end - header->name.offset > rq->limits->header_line || end > rq->limits->header_bytes)
        return refuse(rq, 431);
    return 0;
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct request *rq = of(parser);
    if (rq->stage != REQUEST_HEAD) {
        bytes_append(&rq->trailers, "", 1);
        if (rq->header_count + ++rq->trailer_count > (int)rq->limits->header_count)
            return refuse(rq, 431);
        return 0;
    }
    rq->header_count++;
    rq->headers[rq->header_count].name.len = 0; /* there is one span more than can be counted */
    return 0;
}

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

/* Splits "scheme://authority/path" of an absolute-form target. Returns where the path starts, or 0.
 */
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
    if (!target_is_clean(text, len))
        return refuse(rq, 400);
    if (rq->parser.method == HTTP_CONNECT)
        return refuse(rq, 501);

    uint32_t start = 0;
    if (text[0] == '*') {
        if (len > 1 || rq->parser.method != HTTP_OPTIONS)
            return refuse(rq, 400);
    } else if (text[0] != '/') {
        start = absolute_split(text, len, authority);
        if (start == 0 || authority->len == 0)
            return refuse(rq, 400);
    }
    const char *mark = memchr(text + start, '?', len - start);
    uint32_t path_end = mark ? (uint32_t)(mark - text) : len;
    rq->path = (struct span){rq->target.offset + start, path_end - start};
    rq->query = mark ? (struct span){rq->target.offset + path_end + 1, len - path_end - 1}
                     : (struct span){0, 0};
    authority->offset += rq->target.offset;
    return 0;
}

/* "name", "name:port" or "[v6]:port": no userinfo, path, list or space. */
static bool host_is_valid(const char *text, size_t len)
{
    if (len == 0)
        return false;
    size_t i = 0;
    if (text[0] == '[') {
        for (i = 1; i < len && text[i] != ']'; i++)
            if (!strchr("0123456789abcdefABCDEF:.", text[i]) || text[i] == '\0')
                return false;
        if (i < 3 || i >= len)
            return false;
        i++;
    } else {
        for (; i < len && text[i] != ':'; i++) {
            unsigned char c = (unsigned char)text[i];
            if (c <= ' ' || c >= 0x7f || strchr("\"#,/<>?@[\\]^`{|}", c))
                return false;
        }
        if (i == 0)
            return false;
    }
    if (i == len)
        return true;
    if (text[i] != ':' || len - i > 6)
        return false;
    for (i++; i < len; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

/* What the framing and routing headers said. */
struct head_facts {
    int hosts;
    int lengths;
    int codings;
    bool is_plain_chunked;
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
                   : refuse(rq, 400);
    }
    if (facts->hosts != 1 || !host_is_valid(request_at(rq, rq->host), rq->host.len))
        return refuse(rq, 400);
    if (authority.len > 0 && !text_equal_nocase(request_at(rq, authority), authority.len,
                                                request_at(rq, rq->host), rq->host.len))
        return refuse(rq, 400);
    return 0;
}

static int framing_check(struct request *rq, const struct head_facts *facts)
{
    if (facts->codings == 0)
        return facts->lengths > 1 ? refuse(rq, 400) : 0;
    if (facts->codings > 1 || facts->lengths > 0 || rq->is_http10)
        return refuse(rq, 400);
    if (!facts->is_plain_chunked || !(rq->parser.flags & F_CHUNKED))
        return refuse(rq, 501);
    rq->is_chunked = true;
    return 0;
}

static int path_decode(struct request *rq)
{
    const char *raw = request_at(rq, rq->path);
    if (!memchr(raw, '%', rq->path.len))
        return 0;
    return uri_decode_path(raw, rq->path.len, &rq->decoded) < 0 ? refuse(rq, 400) : 0;
}

static int head_check(struct request *rq)
{
    struct span authority = {0, 0};
    struct head_facts facts = {0};
    if (rq->parser.http_major != 1)
        return refuse(rq, 505);
    rq->is_http10 = rq->parser.http_minor == 0;
    if (target_split(rq, &authority) < 0)
        return -1;
    for (int i = 0; i < rq->header_count; i++)
        facts_add(rq, &rq->headers[i], &facts);
    if (host_check(rq, &facts, authority) < 0 || framing_check(rq, &facts) < 0 ||
        path_decode(rq) < 0)
        return -1;
    return rq->refusal ? -1 : 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct request *rq = of(parser);
    if (head_check(rq) < 0)
        return -1;
    rq->is_head = parser->method == HTTP_HEAD;
    rq->wants_close = !llhttp_should_keep_alive(parser);
    parser->upgrade = 0; /* whether to upgrade is decided above; the body is parsed as one */
    rq->length = rq->is_chunked ? 0 : parser->content_length;
    rq->stage = REQUEST_BODY;
    if (rq->length == 0 && !rq->is_chunked)
        return 0;
    return HPE_PAUSED; /* the handler starts before the body */
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct request *rq = of(parser);
    rq->body_seen += len;
    rq->window_bytes += len;
    if (rq->is_discarding)
        return 0;
    if (rq->body_seen > rq->body_limit) {
        rq->body_error = "too_large";
        return refuse(rq, 413);
    }
    if (bytes_try_append(&rq->body, at, len) < 0) {
        rq->body_error = "too_large";
        return refuse(rq, 413);
    }
    return 0;
}

static int on_extension(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    struct request *rq = of(parser);
    rq->extension_bytes += (uint32_t)len;
    return rq->extension_bytes > rq->limits->chunk_extensions ? refuse(rq, 413) : 0;
}

static int on_message_complete(llhttp_t *parser)
{
    of(parser)->stage = REQUEST_WHOLE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_message_complete = on_message_complete,
};

void parser_start(struct request *rq, const struct http_limits *limits)
{
    llhttp_init(&rq->parser, HTTP_REQUEST, &settings);
    rq->limits = limits;
    rq->body_limit = UINT64_MAX; /* until somebody asks for the body */
    rq->headers[0].name.len = 0;
}

/* A method that we do not know is 501; what does not look like a method at all is 400. */
static int unknown_method_status(const struct request *rq, const char *data, size_t len)
{
    const char *start = rq->head_len > 0 ? rq->head : data;
    size_t total = rq->head_len > 0 ? rq->head_copy.len : len;
    const char *space = memchr(start, ' ', total < 32 ? total : 32);
    return space && text_is_token(start, (size_t)(space - start)) ? 501 : 400;
}

static enum parse_result bad(struct request *rq, enum llhttp_errno err, const char *data,
                             size_t len)
{
    if (rq->refusal == 0) {
        if (err == HPE_INVALID_METHOD)
            rq->refusal = unknown_method_status(rq, data, len);
        else if (err == HPE_INVALID_VERSION || err == HPE_PAUSED_H2_UPGRADE)
            rq->refusal = 505;
        else
            rq->refusal = 400;
    }
    if (rq->stage != REQUEST_HEAD && !rq->body_error)
        rq->body_error = "invalid";
    return PARSE_BAD;
}

/* The head is in pieces: gather it, so that its spans stay in one run of bytes. */
static const char *head_gather(struct request *rq, const char *data, size_t len)
{
    if (rq->head_len == 0) {
        rq->head = data;
        return data;
    }
    bytes_append(&rq->head_copy, data, len);
    rq->head = rq->head_copy.data;
    return rq->head_copy.data + rq->head_len;
}

/* The head goes on in the next read. */
static enum parse_result head_more(struct request *rq, const char *data, size_t len)
{
    if (rq->head_len == 0) {
        bytes_append(&rq->head_copy, data, len);
        rq->head = rq->head_copy.data;
    }
    rq->head_len += (uint32_t)len;
    if (rq->head_len <= rq->limits->header_bytes)
        return PARSE_MORE;
    rq->refusal = 431;
    return PARSE_BAD;
}

enum parse_result parser_feed(struct request *rq, const char *data, size_t len, size_t *used)
{
    bool in_head = rq->stage == REQUEST_HEAD;
    const char *start = in_head ? head_gather(rq, data, len) : data;
    rq->feed = start;
    if (llhttp_get_errno(&rq->parser) == HPE_PAUSED)
        llhttp_resume(&rq->parser);

    enum llhttp_errno err = llhttp_execute(&rq->parser, start, len);
    *used = len;
    if (err == HPE_OK)
        return rq->stage == REQUEST_HEAD ? head_more(rq, data, len) : PARSE_MORE;
    if (err != HPE_PAUSED)
        return bad(rq, err, data, len);

    *used = (size_t)(llhttp_get_error_pos(&rq->parser) - start);
    if (in_head)
        rq->head_len += (uint32_t)*used; /* the whole head's length from here on */
    return rq->stage == REQUEST_WHOLE ? PARSE_END : PARSE_HEAD;
}

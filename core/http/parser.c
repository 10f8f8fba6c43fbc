/* Feeds llhttp: see parser.h. Here are the limits; what else llhttp accepts and a server must not
 * is in head.c. */
#include "http/parser.h"

#include "base/list.h"
#include "base/text.h"
#include "http/head.h"

#include <string.h>

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
        return request_refuse(rq, 414);
    return 0;
}

/* Trailers stay apart from the headers, and those that would change what the request is are
 * refused. */
static int trailer_name_check(struct request *rq, const char *name, size_t len)
{
    static const char *const forbidden[] = {
        /* framing and content */
        "content-length", "transfer-encoding", "content-encoding", "content-type", "content-range",
        "trailer", "te", "connection", "keep-alive", "upgrade",
        /* for whom, and from whom */
        "host", "authorization", "proxy-authorization", "cookie", "set-cookie", "forwarded",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
        /* what is asked for */
        "expect", "range", "if-range", "if-match", "if-none-match", "if-modified-since",
        "if-unmodified-since", "cache-control", "pragma", "max-forwards"};
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++)
        if (text_equal_nocase(name, len, forbidden[i], strlen(forbidden[i])))
            return request_refuse(rq, 400);
    return 0;
}

/* Whether to go on with a header or trailer of that name: 0, or -1. */
static int underscore_check(struct request *rq, const char *name, size_t len)
{
    enum header_underscores rule = rq->limits->underscores;
    if (rule == UNDERSCORES_KEEP || !memchr(name, '_', len))
        return 0;
    rq->is_unwelcome = rule == UNDERSCORES_DROP;
    return rq->is_unwelcome ? 0 : request_refuse(rq, 400);
}

static int trailer_append(struct request *rq, const char *at, size_t len)
{
    rq->trailer_bytes += (uint32_t)len;
    if (rq->trailer_bytes > rq->limits->header_bytes)
        return request_refuse(rq, 431);
    bytes_append(&rq->trailers, at, len);
    return 0;
}

/* Limits the header line that is arriving, whose name or value has come as far as `span`. */
static int line_check(struct request *rq, struct span span)
{
    uint32_t end = span.offset + span.len;
    uint32_t line = end - rq->headers[rq->header_count].name.offset;
    bool fits = line <= rq->limits->header_line && end <= rq->limits->header_bytes;
    return fits ? 0 : request_refuse(rq, 431);
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct request *rq = of(parser);
    if (rq->stage != REQUEST_HEAD)
        return trailer_append(rq, at, len);

    struct header_span *header = &rq->headers[rq->header_count];
    if (header->name.len == 0) {
        if (rq->header_count >= rq->limits->header_count)
            return request_refuse(rq, 431);
        header->name.offset = offset_of(rq, at);
    }
    header->name.len += (uint32_t)len;
    return line_check(rq, header->name);
}

/* Where the string that is arriving begins among the trailers. */
static size_t trailer_start(const struct request *rq)
{
    size_t start = rq->trailers.len;
    while (start > 0 && rq->trailers.data[start - 1] != '\0')
        start--;
    return start;
}

static int trailer_field_complete(struct request *rq)
{
    size_t start = trailer_start(rq);
    const char *name = rq->trailers.data + start;
    size_t len = rq->trailers.len - start;
    if (trailer_name_check(rq, name, len) < 0 || underscore_check(rq, name, len) < 0)
        return -1;
    if (rq->is_unwelcome)
        rq->trailers.len = start; /* its value goes the same way */
    else
        bytes_append(&rq->trailers, "", 1);
    return 0;
}

static int on_header_field_complete(llhttp_t *parser)
{
    struct request *rq = of(parser);
    if (rq->stage != REQUEST_HEAD)
        return trailer_field_complete(rq);

    struct header_span *header = &rq->headers[rq->header_count];
    header->value = (struct span){header->name.offset + header->name.len, 0};
    rq->has_value = false;
    return underscore_check(rq, request_at(rq, header->name), header->name.len);
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct request *rq = of(parser);
    if (rq->stage != REQUEST_HEAD)
        return trailer_append(rq, at, len);

    if (len == 0)
        return 0; /* llhttp reports an empty value at the next line */
    struct header_span *header = &rq->headers[rq->header_count];
    if (!rq->has_value) {
        header->value.offset = offset_of(rq, at);
        rq->has_value = true;
    }
    header->value.len += (uint32_t)len;
    return line_check(rq, header->value);
}

static bool parser_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static int trailer_value_complete(struct request *rq)
{
    if (rq->is_unwelcome) {
        rq->trailers.len = trailer_start(rq);
        rq->is_unwelcome = false;
        return 0;
    }
    while (parser_is_blank(rq->trailers.data[rq->trailers.len - 1]))
        rq->trailers.len--;
    bytes_append(&rq->trailers, "", 1);
    if (rq->header_count + ++rq->trailer_count > (int)rq->limits->header_count)
        return request_refuse(rq, 431);
    return 0;
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct request *rq = of(parser);
    if (rq->stage != REQUEST_HEAD)
        return trailer_value_complete(rq);

    struct header_span *header = &rq->headers[rq->header_count];
    const char *value = request_at(rq, header->value);
    while (header->value.len > 0 && parser_is_blank(value[header->value.len - 1]))
        header->value.len--; /* llhttp leaves the white space behind a value to us */
    rq->header_count += !rq->is_unwelcome;
    rq->is_unwelcome = false;
    rq->headers[rq->header_count].name.len = 0; /* there is one span more than can be counted */
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct request *rq = of(parser);
    if (head_check(rq) < 0)
        return -1;
    rq->is_head = parser->method == HTTP_HEAD;
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
        return request_refuse(rq, 413);
    }
    return request_add_body(rq, at, len);
}

static int on_extension(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    struct request *rq = of(parser);
    rq->extension_bytes += (uint32_t)len;
    return rq->extension_bytes > rq->limits->chunk_extensions ? request_refuse(rq, 413) : 0;
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

/* A method that we do not know is 501; what does not look like a method at all is 400. Looks no
 * further than llhttp did, so that it does not matter in what pieces the request came. */
static int unknown_method_status(const struct request *rq)
{
    const char *at = llhttp_get_error_pos(&rq->parser);
    size_t len = (size_t)(at - rq->head);
    bool ends = len > 0 && *at == ' ';
    return text_is_token(rq->head, ends ? len : len + 1) ? 501 : 400;
}

/* Whether it would be right in another version of HTTP: the preface of HTTP/2, "GET /",
 * HTTP/1.2. */
static bool is_other_version(const struct request *rq, enum llhttp_errno err)
{
    int major = rq->parser.http_major;
    int minor = rq->parser.http_minor;
    if (err == HPE_INVALID_VERSION)
        return major != 1 || minor > 1;
    return err == HPE_PAUSED_H2_UPGRADE || (major == 0 && minor == 9);
}

static enum parse_result bad(struct request *rq, enum llhttp_errno err)
{
    if (rq->refusal == 0) {
        if (err == HPE_INVALID_METHOD)
            rq->refusal = unknown_method_status(rq);
        else
            rq->refusal = is_other_version(rq, err) ? 505 : 400;
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
    if (rq->head_len > rq->limits->header_bytes)
        rq->refusal = 431;
    else if (rq->parser.http_major == 0 && rq->parser.http_minor == 9)
        rq->refusal = 505; /* "GET /": no head will follow */
    return rq->refusal ? PARSE_BAD : PARSE_MORE;
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
        return bad(rq, err);

    *used = (size_t)(llhttp_get_error_pos(&rq->parser) - start);
    if (in_head) {
        rq->head_len += (uint32_t)*used; /* the whole head's length from here on */
        if (rq->head_len > rq->limits->header_bytes) {
            rq->refusal = 431;
            return PARSE_BAD;
        }
    }
    return rq->stage == REQUEST_WHOLE ? PARSE_END : PARSE_HEAD;
}

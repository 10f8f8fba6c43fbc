/* One HTTP/1 request: see request.h. */
#include "http/request.h"

#include "base/quota.h"
#include "base/text.h"
#include "http/gzip.h"
#include "http/limits.h"

#include <string.h>

#define KEPT_CAPACITY 16384 /* larger buffers are not kept for the next request */

const char *request_method(const struct request *rq, size_t *len)
{
    const char *name = llhttp_method_name(rq->parser.method);
    *len = strlen(name);
    return name;
}

const char *request_path(const struct request *rq, size_t *len)
{
    if (rq->decoded.len > 0) {
        *len = rq->decoded.len;
        return rq->decoded.data;
    }
    *len = rq->path.len;
    if (rq->path.len > 0)
        return request_at(rq, rq->path);
    *len = 1; /* "http://host" asks for the root */
    return "/";
}

const char *request_header_next(const struct request *rq, int *at, const char *name,
                                size_t name_len, size_t *len)
{
    while (*at < rq->header_count) {
        const struct header_span *header = &rq->headers[(*at)++];
        if (header->name.len != name_len ||
            !text_equal_nocase(request_at(rq, header->name), name_len, name, name_len))
            continue;
        *len = header->value.len;
        return request_at(rq, header->value);
    }
    return NULL;
}

const char *request_header(const struct request *rq, const char *name, size_t name_len, size_t *len)
{
    int at = 0;
    return request_header_next(rq, &at, name, name_len, len);
}

bool request_accepts_coding(const struct request *rq, const char *coding)
{
    size_t len;
    const char *accept = request_header(rq, "accept-encoding", 15, &len);
    return accept && gzip_coding_is_accepted(accept, len, coding);
}

void request_keep(struct request *rq)
{
    if (rq->head == rq->head_copy.data)
        return;
    bytes_clear(&rq->head_copy);
    bytes_append(&rq->head_copy, rq->head, rq->head_len);
    rq->head = rq->head_copy.data;
}

static struct quota *input_of(const struct request *rq)
{
    return rq->limits->input;
}

int request_add_body(struct request *rq, const void *data, size_t len)
{
    size_t before = rq->body.len;
    if (!quota_change(input_of(rq), before, before + len)) {
        quota_refuse(input_of(rq));
        rq->body_error = "overloaded";
        return request_refuse(rq, 503);
    }
    if (bytes_try_append(&rq->body, data, len) == 0)
        return 0;
    quota_change(input_of(rq), before + len, before);
    rq->body_error = "overloaded"; /* no memory: the client may come back with the same body */
    return request_refuse(rq, 503);
}

void request_take_body(struct request *rq, size_t len)
{
    quota_change(input_of(rq), rq->body.len, rq->body.len - len);
    bytes_consume(&rq->body, len);
}

void request_drop_body(struct request *rq)
{
    quota_change(input_of(rq), rq->body.len, 0);
    bytes_deinit(&rq->body);
}

static void reset_bytes(struct bytes *bytes)
{
    if (bytes->cap + bytes->gap > KEPT_CAPACITY)
        bytes_deinit(bytes);
    else
        bytes_clear(bytes);
}

void request_reset(struct request *rq, size_t user_size)
{
    reset_bytes(&rq->head_copy);
    reset_bytes(&rq->decoded);
    reset_bytes(&rq->trailers);
    struct bytes head_copy = rq->head_copy;
    struct bytes decoded = rq->decoded;
    struct bytes trailers = rq->trailers;

    /* The header spans need no clearing: header_count says how many count. */
    memset(rq, 0, offsetof(struct request, headers));
    size_t rest = offsetof(struct request, header_count);
    memset((char *)rq + rest, 0, offsetof(struct request, user) + user_size - rest);
    rq->head_copy = head_copy;
    rq->decoded = decoded;
    rq->trailers = trailers;
    rq->route = -1;
}

void request_deinit(struct request *rq)
{
    bytes_deinit(&rq->head_copy);
    bytes_deinit(&rq->decoded);
    bytes_deinit(&rq->trailers);
}

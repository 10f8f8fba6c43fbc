/* One HTTP/1 request: its head as spans into the bytes it came in, its body as far as it has
 * arrived, and how far its answer is. It belongs to the session until session_request_done, and is
 * then kept for the next one. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "base/bytes.h"
#include "base/slots.h"
#include "http/router.h"
#include "net/deadline.h"

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;
struct http_limits;
struct http_server;

#define REQUEST_MAX_HEADERS 128 /* the most that limits.headers can be set to */

/* A piece of the head, counted from its first byte: it stays right when the head is copied. */
struct span {
    uint32_t offset;
    uint32_t len;
};

struct header_span {
    struct span name;
    struct span value;
};

enum request_stage {
    REQUEST_HEAD,  /* the head is arriving */
    REQUEST_BODY,  /* the body is arriving */
    REQUEST_WHOLE, /* everything has arrived */
    REQUEST_BROKEN /* the body never will; body_error says why */
};

enum answer_stage { ANSWER_NONE, ANSWER_STARTED, ANSWER_ENDED };
enum answer_framing { FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE, FRAMING_NONE };

struct request {
    llhttp_t parser;
    struct session *session; /* NULL once the connection is gone or serves the next request */
    struct http_server *server;
    void *owner; /* server->owner when its handler began, NULL before */
    slot_handle handle;
    uint32_t id;
    enum request_stage stage;
    int refusal; /* the status for a request that breaks the rules, 0 = none */

    const char *head;       /* the first byte of the request line */
    struct bytes head_copy; /* where it is when it outlives the read */
    uint32_t head_len;      /* bytes of the head seen in reads before this one */
    struct span target;     /* as sent */
    struct span path;       /* raw */
    struct span query;      /* without the '?' */
    struct span host;       /* the authority: Host's value, or the target's own */
    /* headers and params are not cleared between requests: their counts say what is there */
    struct header_span headers[REQUEST_MAX_HEADERS + 1]; /* the last is only ever begun */
    struct {
        const char *name;
        struct span value; /* in the decoded path */
    } params[ROUTER_MAX_PARAMS];
    uint16_t header_count;
    bool has_value;    /* the header that is arriving has its value begun */
    bool is_unwelcome; /* the header or trailer that is arriving will be dropped */
    const struct http_limits *limits;
    const char *feed; /* the bytes being parsed */
    uint64_t length;  /* Content-Length, 0 when chunked or none */
    bool is_chunked;
    struct bytes decoded;  /* the decoded path, when it differs from the raw one */
    struct bytes trailers; /* "name\0value\0"... */
    uint16_t trailer_count;
    uint32_t trailer_bytes;
    uint32_t extension_bytes; /* of chunk extensions */

    bool is_head; /* HEAD: answers carry no body */
    bool is_http10;
    bool wants_close;      /* the connection ends with this answer */
    bool expects_continue; /* 100 was asked for and not sent */
    bool has_upgrade;
    bool is_disconnected; /* the client left */
    bool is_discarding;   /* nobody will read the body */
    /* Of interest while the body is arriving: somebody waits for it, from session_read_body until
     * he is woken, has got a chunk, or waits no more (request_body.c). Meanwhile reading goes on
     * above the high water mark, and a refusal (408, 413) is told to him by body_error; to others
     * it is as if the client had left. */
    bool is_wanted;
    bool is_logged;
    bool is_done; /* the handler is through: only the rest of the body is awaited */

    struct bytes body;        /* arrived and not yet taken */
    uint64_t body_seen;       /* bytes that arrived, taken or not */
    uint64_t body_limit;      /* of the whole body */
    const char *body_error;   /* "too_large" "aborted" "timeout" "invalid" "overloaded" */
    uint64_t window_start_ms; /* body rate: bytes counted from here */
    uint64_t window_bytes;

    enum answer_stage answer;
    enum answer_framing framing;
    int status;
    uint64_t sent;     /* body bytes written */
    uint64_t promised; /* Content-Length announced */
    uint64_t started_ns;

    uint16_t param_count;
    uint32_t allow; /* methods that would have matched */

    /* Of who answers: */
    int route;    /* which one, 0: none of them, -1: not looked for */
    bool is_held; /* a handler has it, or what follows on it */
    bool is_kept; /* session_request_done leaves the memory to them */
    /* http_events.user_size bytes of theirs, zero at first. */
    _Alignas(max_align_t) unsigned char user[];
};

static inline const char *request_at(const struct request *rq, struct span span)
{
    return rq->head + span.offset;
}
/* Whether a handler has it, so that it must not be freed. */
static inline bool request_is_held(const struct request *rq)
{
    return !rq->is_done && rq->is_held;
}
const char *request_method(const struct request *rq, size_t *len);
/* The decoded path. */
const char *request_path(const struct request *rq, size_t *len);
/* The value of the first header of that name (given in any case), or NULL. */
const char *request_header(const struct request *rq, const char *name, size_t name_len,
                           size_t *len);
/* The same for headers that may be there several times: `*at` is 0 at first, and moves on. */
const char *request_header_next(const struct request *rq, int *at, const char *name,
                                size_t name_len, size_t *len);
/* Whether Accept-Encoding takes `coding` ("gzip", "br"). */
bool request_accepts_coding(const struct request *rq, const char *coding);
/* Copies the head out of the read buffer, because the request outlives this read. */
void request_keep(struct request *rq);

/* For the parser: the status to answer; always -1. */
static inline int request_refuse(struct request *rq, int status)
{
    rq->refusal = status;
    return -1;
}

/* The same for a body that there is no room for. */
int request_add_body(struct request *rq, const void *data, size_t len);
void request_take_body(struct request *rq, size_t len); /* forgets its first `len` bytes */
void request_drop_body(struct request *rq);             /* forgets all that has arrived of it */

/* For session.c: */
/* Before a request begins; keeps allocations of a useful size. */
void request_reset(struct request *rq, size_t user_size);
void request_deinit(struct request *rq);

#endif

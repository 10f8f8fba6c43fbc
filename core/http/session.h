/* The HTTP/1.1 side of one connection: reads requests in order, gives each to the handlers above, and goes on
 * when its answer is complete. The server is a worker's set of sessions. */
#ifndef HTTP_SESSION_H
#define HTTP_SESSION_H

#include "base/list.h"
#include "base/slots.h"
#include "http/date.h"
#include "http/parser.h"
#include "http/request.h"
#include "net/conn.h"
#include "net/loop.h"

/* What the floor above is told. Each may answer, and so end, the request. */
struct http_events {
    void (*on_request)(struct request *rq);  /* the head is there (and all of a request without body) */
    void (*on_body)(struct request *rq);     /* body bytes, its end, or its failure (stage, body_error) */
    void (*on_writable)(struct request *rq); /* what was written has left */
    void (*on_gone)(struct request *rq);     /* the client left */
    void (*on_log)(struct request *rq);      /* for the access log, once per request; NULL = off */
};

struct http_server {
    struct loop *loop;
    struct http_limits limits;
    struct http_events events;
    void *owner;
    struct list idle; /* sessions between requests, oldest first */
    struct list busy;
    uint32_t count; /* sessions */
    struct slots requests;
    struct request *free_requests[64];
    uint32_t free_count;
    uint32_t last_id;
    struct date_cache date;
    struct bytes head; /* the answer head that is being written */
    bool is_draining;
    void (*on_empty)(struct http_server *server); /* draining and the last session has gone */
    uint64_t total_requests;
};

void http_server_init(struct http_server *server, struct loop *loop, const struct http_limits *limits,
                      const struct http_events *events, void *owner);
void http_server_deinit(struct http_server *server); /* no session may be left */
void http_server_drain(struct http_server *server, void (*on_empty)(struct http_server *server));
void http_server_abort(struct http_server *server); /* close every connection now */
bool http_server_evict(struct http_server *server); /* closes the session idle for longest; false: none */

/* Serves the connected socket. 0 or an error (the fd is closed). */
int session_open(struct http_server *server, int fd, bool is_unix);

/* For handlers: */
struct request *request_find(struct http_server *server, slot_handle handle); /* NULL: it is over */
struct conn *request_conn(struct request *rq);                                  /* NULL: gone */
/* Somebody wants the body: sends the 100 that the client may wait for, and reads on. `limit` is of the whole. */
void request_read_body(struct request *rq, uint64_t limit);
/* Breaks the connection off in the middle of an answer, so that the client sees that it is incomplete. */
void request_cut(struct request *rq);
/* The handler is through with the request, its answer complete or not. The request is gone after this. */
void request_done(struct request *rq);
/* Takes the request away from its session so that it may live longer; free it with request_free. */
void request_detach(struct request *rq);
void request_free(struct request *rq);

#endif

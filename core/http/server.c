/* A worker's HTTP server: see server.h. */
#include "http/server.h"

#include "base/alloc.h"
#include "base/tally.h"
#include "http/parser.h"

#include <assert.h>
#include <string.h>

void http_server_init(struct http_server *server, struct loop *loop,
                      const struct http_limits *limits, const struct http_events *events,
                      void *owner)
{
    memset(server, 0, sizeof(*server));
    server->loop = loop;
    server->limits = *limits;
    server->events = *events;
    server->owner = owner;
    list_init(&server->idle);
    list_init(&server->busy);
    slots_init(&server->requests);
    bytes_init(&server->head);
}

void http_server_deinit(struct http_server *server)
{
    assert(server->count == 0);
    while (server->free_count > 0) {
        struct request *rq = server->free_requests[--server->free_count];
        request_deinit(rq);
        mem_free(rq);
    }
    slots_deinit(&server->requests);
    bytes_deinit(&server->head);
}

struct request *request_new(struct http_server *server)
{
    struct request *rq = server->free_count > 0 ? server->free_requests[--server->free_count]
                                                : mem_calloc(sizeof(struct request));
    request_reset(rq);
    rq->server = server;
    rq->id = ++server->last_id;
    rq->handle = slots_put(&server->requests, rq);
    parser_start(rq, &server->limits);
    server->total_requests++;
    tally_add(TALLY_REQUEST, 1);
    return rq;
}

void request_free(struct request *rq)
{
    struct http_server *server = rq->server;
    assert(!rq->session);
    slots_take(&server->requests, rq->handle);
    tally_add(TALLY_REQUEST, -1);
    if (server->free_count < sizeof(server->free_requests) / sizeof(*server->free_requests)) {
        server->free_requests[server->free_count++] = rq;
        return;
    }
    request_deinit(rq);
    mem_free(rq);
}

struct request *request_find(struct http_server *server, slot_handle handle)
{
    return slots_get(&server->requests, handle);
}

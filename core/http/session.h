/* The HTTP/1.1 side of one connection: reads requests in order, gives each to the handlers above,
 * and goes on when its answer is complete. Its server has it in one of two lists. */
#ifndef HTTP_SESSION_H
#define HTTP_SESSION_H

#include "http/http_server.h"
#include "net/conn.h"

/* Serves the connected socket. 0 or an error (the fd is closed). */
int session_open(struct http_server *server, int fd, bool is_unix);

/* For handlers: */
struct conn *session_conn_of(struct request *rq); /* NULL: gone */
/* Whether its client is there to get an answer that comes later. */
bool session_is_reachable(const struct request *rq);
/* Somebody wants the body: sends the 100 that the client may wait for, and reads on. `limit` is of
 * the whole. */
void session_read_body(struct request *rq, uint64_t limit);
/* Breaks the connection off in the middle of an answer, so that the client sees that it is
 * incomplete. */
void session_cut_off(struct request *rq);
/* The handler is through with the request, its answer complete or not. The request is gone after
 * this. */
void session_request_done(struct request *rq);
/* Takes the request away from its session so that it may live longer; free it with
 * http_server_free_request. */
void session_detach_request(struct request *rq);

#endif

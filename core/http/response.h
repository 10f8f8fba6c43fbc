/* Writes an answer: the head built line by line in the server's scratch buffer, then a body of
 * known length, a stream, or a file. Nothing may yield between response_begin and the send that
 * ends the head. */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include "http/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void response_begin(struct request *rq, int status);
/* Adds a header line. 0, or -EINVAL for a byte that would split the head, -EPERM for a name that
 * the core sets. */
int response_header(struct request *rq, const char *name, size_t name_len, const char *value,
                    size_t value_len);
/* Adds header lines that were checked before, with their line ends. */
void response_lines(struct request *rq, const char *lines, size_t len);
void response_type(struct request *rq, const char *type); /* trusted text */

void response_send(struct request *rq, const void *body, size_t len); /* head and whole body */
/* Head of a stream; `length` < 0: unknown (chunked, or until close for HTTP/1.0). False: no body is
 * wanted (HEAD, 204). */
bool response_stream(struct request *rq, int64_t length);
void response_write(struct request *rq, const void *data, size_t len);
void response_end(struct request *rq); /* after a stream */

/* Ends a head begun with 101: from here on the connection speaks `protocol`. */
void response_switch(struct request *rq, const char *protocol);

/* A whole plain answer made by the core: "413 Content Too Large\n". */
void response_plain(struct request *rq, int status);

#endif

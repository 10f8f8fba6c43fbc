/* Feeds llhttp and turns what it finds into a request, with the rules and limits that llhttp leaves
 * to the server. Says what happened; acting on it is the session's work. */
#ifndef HTTP_PARSER_H
#define HTTP_PARSER_H

#include "http/limits.h"
#include "http/request.h"

#include <stddef.h>

enum parse_result {
    PARSE_MORE, /* all bytes were taken, more are needed */
    PARSE_HEAD, /* the head ended and a body follows */
    PARSE_END,  /* the message ended */
    PARSE_BAD   /* request->refusal has the status to answer */
};

void parser_start(struct request *rq, const struct http_limits *limits);
/* `used` gets how many of `len` bytes were taken. */
enum parse_result parser_feed(struct request *rq, const char *data, size_t len, size_t *used);

#endif

/* Feeds llhttp and turns what it finds into a request, with the rules and limits that llhttp leaves
 * to the server. Says what happened; acting on it is the session's work. */
#ifndef HTTP_PARSER_H
#define HTTP_PARSER_H

#include "http/request.h"

#include <stdint.h>

/* What becomes of a header whose name has an underscore. What sits behind us may take
 * content_length for Content-Length, as CGI's HTTP_CONTENT_LENGTH does. */
enum header_underscores { UNDERSCORES_KEEP, UNDERSCORES_DROP, UNDERSCORES_REFUSE };

struct http_limits {
    uint32_t header_bytes; /* the whole head */
    uint32_t header_line;
    uint32_t header_count;
    uint32_t uri;
    enum header_underscores underscores;
    uint32_t chunk_extensions; /* bytes per request */
    uint64_t body;             /* unless the route or handler says otherwise */
    uint32_t body_rate;        /* bytes a second, averaged over body_window_ms */
    uint32_t body_window_ms;
    uint64_t gzip_min;  /* bodies from this size on are compressed, 0 = never */
    uint32_t header_ms; /* from the first byte to the end of the head */
    uint32_t idle_ms;   /* between requests */
    uint32_t write_ms;  /* without progress */
};

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

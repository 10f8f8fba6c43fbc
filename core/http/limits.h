/* The limits of a server's requests, as its settings say. */
#ifndef HTTP_LIMITS_H
#define HTTP_LIMITS_H

#include <stdint.h>

struct quota;

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
    uint64_t gzip_min;   /* bodies from this size on are compressed, 0 = never */
    uint32_t header_ms;  /* from the first byte to the end of the head */
    uint32_t idle_ms;    /* between requests */
    uint32_t write_ms;   /* without progress */
    struct quota *input; /* of bodies that no handler has taken; NULL: no limit */
};

#endif

/* Reads multipart/form-data (RFC 7578) as it arrives, however it is cut. Give it bytes and take
 * events until it wants more:
 *
 *     while ((event = multipart_next(mp, &data, &len, &piece)) > 0) ...    MULTIPART_MORE = 0 ends
 * the loop
 *
 * Time is linear in the bytes; memory is one part's headers. The first error ends it: every later
 * call says the same. What stands behind the last boundary is ignored, nothing but empty lines may
 * stand before the first. */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include "base/bytes.h"
#include "http/disposition.h"

#include <stddef.h>
#include <stdint.h>

#define MULTIPART_MAX_PARTS 1000 /* unless the caller says otherwise */
#define MULTIPART_MAX_HEAD 8192  /* bytes of headers of one part */
#define MULTIPART_MAX_HEADERS 32 /* of one part */
#define MULTIPART_MAX_BOUNDARY 70

enum multipart_event {
    MULTIPART_MORE,     /* all bytes were taken */
    MULTIPART_PART,     /* a part begins: mp->part */
    MULTIPART_DATA,     /* some of its content: the piece */
    MULTIPART_PART_END, /* the part is whole */
};

struct multipart_header {
    const char *name; /* lower case */
    size_t name_len;
    const char *value;
    size_t value_len;
};

/* Valid until the next part. */
struct multipart_part {
    struct disposition names; /* as the client says: a filename is no path */
    const char *type;         /* of the content; NULL: not given */
    size_t type_len;
    int header_count;
    struct multipart_header headers[MULTIPART_MAX_HEADERS];
};

/* Part of the bytes given to multipart_next, or a few bytes of the parser: valid until the next
 * call. */
struct multipart_piece {
    const char *data;
    size_t len;
};

struct multipart {
    struct multipart_part part;
    char delimiter[4 + MULTIPART_MAX_BOUNDARY]; /* "\r\n--boundary" */
    size_t delimiter_len;
    size_t matched; /* bytes of the delimiter that were just seen */
    size_t hidden;  /* of those, bytes that are no content if it turns out to be something else */
    int state;
    int error;
    uint32_t parts_left;
    struct bytes head;  /* the headers of the part that begins */
    struct bytes names; /* decoded */
};

/* -EINVAL: no valid boundary. */
int multipart_init(struct multipart *mp, const char *boundary, size_t len, uint32_t max_parts);
void multipart_deinit(struct multipart *mp);
/* Takes bytes from `*data` (both move on) to the next event. Negative: -EINVAL malformed, -E2BIG
 * too many parts, -EMSGSIZE too many headers. */
int multipart_next(struct multipart *mp, const char **data, size_t *len,
                   struct multipart_piece *piece);
/* After the last byte: 0, or an error when something is missing. */
int multipart_finish(const struct multipart *mp);

/* The boundary in a Content-Type, or NULL: not multipart/form-data, or no valid boundary. */
const char *multipart_boundary(const char *type, size_t type_len, size_t *len);

#endif

/* What a Redis server answers: bytes in, items out, by hiredis' reader (RESP2). Replies are handed
 * out piece by piece as they arrive, so that a long one neither fills memory twice nor holds up the
 * loop. Owned by whoever made it; does no I/O. */
#ifndef CLIENT_REDIS_READER_H
#define CLIENT_REDIS_READER_H

#include <stddef.h>

#define REDIS_READER_DEPTH 16 /* lists within lists; hiredis itself gives up earlier */

struct redis_reader;

enum redis_item_kind {
    REDIS_ITEM_NULL,
    REDIS_ITEM_INTEGER,
    REDIS_ITEM_TEXT,
    REDIS_ITEM_ERROR,
    REDIS_ITEM_LIST
};

/* A list is followed by its `number` items, each of which may be a list. */
struct redis_item {
    enum redis_item_kind kind;
    long long number; /* the integer, or how many items */
    const char *text; /* of texts (a status is one) and errors; valid until the next call */
    size_t len;
};

/* `max_reply`: bytes that one reply may cost: what it has on the wire and 16 more for each item. */
struct redis_reader *redis_reader_new(size_t max_reply);
void redis_reader_free(struct redis_reader *reader);
/* 0, or -EPROTO: no more items come; redis_reader_error has the reason. */
int redis_reader_feed(struct redis_reader *reader, const char *data, size_t len);
/* 1: an item. 0: more bytes are needed. -EPROTO: these are no replies. -E2BIG: more than
 * max_reply. */
int redis_reader_next(struct redis_reader *reader, struct redis_item *item);
const char *redis_reader_error(const struct redis_reader *reader);

#endif

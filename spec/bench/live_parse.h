/* What servers send to live_client: HTTP answers, WebSocket frames, server-sent events. */
#ifndef LIVE_PARSE_H
#define LIVE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRAME_TEXT = 1, FRAME_BINARY = 2, FRAME_CLOSE = 8, FRAME_PING = 9 };

struct frame {
    int opcode;
    bool is_deflated;
    const char *bytes;
    size_t size;
};
/* Reads a whole frame from the front; the bytes taken, 0: there is more to come. */
size_t frame_read(const char *bytes, size_t size, struct frame *frame);

struct answer {
    int status;
    const char *body;
    size_t body_size;
    char cursor[64];             /* Topic-Cursor, or empty */
    char modified[64], etag[64]; /* where nchan's next poll begins, or empty */
};
/* Reads a whole answer from the front, or only its head; the bytes taken, 0: there is more to come.
 * Exits when it is none. */
size_t answer_read(char *bytes, size_t size, bool is_head_only, struct answer *answer);
/* The messages in the answer to a poll; `seen` as in live_message.h. */
void answer_deliver(const struct answer *answer, uint64_t *seen);

/* Counts the messages in whole lines of an event stream; the bytes taken. */
size_t events_deliver(const char *bytes, size_t size, uint64_t *seen);

#endif

/* What the two reference servers, live_raw.c and live_uv.c, read and answer: just enough HTTP and
 * WebSocket for live_client. A request must arrive whole, as it does on the loopback interface. */
#ifndef LIVE_WIRE_H
#define LIVE_WIRE_H

#include <stddef.h>

enum wire_act { WIRE_ANSWER, WIRE_SUBSCRIBE, WIRE_PUBLISH };

struct wire_request {
    enum wire_act act;
    size_t size;         /* of the request; 0: what arrived is none */
    const char *message; /* to be published `count` times */
    size_t message_size;
    int count;
};
#define WIRE_ANSWER_MAX 512

struct wire_request wire_read(char *bytes, size_t size);
/* Writes the answer to a request to `out`, which has WIRE_ANSWER_MAX bytes; how many it has. */
size_t wire_answer(const struct wire_request *request, const char *bytes, char *out);

/* The WebSocket frames of one turn's messages, one behind the other. Valid until the next call. */
const char *wire_frames(const struct wire_request *request, size_t *size);

#endif

/* A published message: immutable, counted, and encoded for each kind of client at most once, by the
 * first worker that needs it. */
#ifndef LIVE_MESSAGE_H
#define LIVE_MESSAGE_H

#include "base/blob.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum message_form { MESSAGE_TEXT, MESSAGE_BINARY, MESSAGE_JSON };

/* The encodings a message can carry; what each looks like is its user's business. */
enum message_encoding {
    ENCODING_WS,          /* a WebSocket frame of the payload */
    ENCODING_WS_DEFLATED, /* the same, compressed */
    ENCODING_WS_ENVELOPE, /* a frame of {"cursor","topic","data"} */
    ENCODING_WS_ENVELOPE_DEFLATED,
    ENCODING_SSE,       /* "id: ...\ndata: ...\n\n", as an HTTP chunk */
    ENCODING_SSE_PLAIN, /* the same without chunk framing, for HTTP/1.0 */
    ENCODING_JSON,      /* an element of a long-poll's list */
    ENCODINGS
};

struct hub;
struct message;
/* A new blob, or NULL: out of memory. */
typedef struct blob *(*message_encode_fn)(const struct message *message);

struct message {
    atomic_uint refs;
    uint64_t seq;     /* process-wide, from 1 */
    struct hub *hub;  /* counts its memory */
    uint64_t born_ms; /* monotonic, for the topic's ttl */
    enum message_form form;
    /* The five texts live behind the struct, each with a NUL; "" when there is none. */
    const char *topic;
    const char *key;    /* for slow="latest": newer ones with the same key replace older ones */
    const char *event;  /* SSE's event name */
    const char *dedupe; /* what makes a second one a repetition */
    const char *data;
    uint32_t topic_len;
    uint32_t key_len;
    uint32_t event_len;
    uint32_t dedupe_len;
    uint32_t len;
    struct blob *_Atomic encoded[ENCODINGS];
    /* For the topic, under its lock. */
    uint64_t superseded;  /* seq of the next one with the same key, 0: none yet */
    struct message *next; /* once it has left the log: what left with it */
};

struct publication {
    enum message_form form;
    const char *data, *key, *event, *dedupe; /* NULL: none */
    size_t len, key_len, event_len, dedupe_len;
};

bool message_is_too_long(const struct publication *pub); /* for any message */
/* One reference; NULL: out of memory. The hub is told what it takes, and what message_drop gives
 * back. */
struct message *message_new(struct hub *hub, const char *topic, size_t topic_len,
                            const struct publication *pub);
uint64_t message_size(const struct message *message); /* what the topic's own limit counts */
uint64_t message_cost(const struct message *message); /* what it takes in memory */
struct message *message_hold(struct message *message);
void message_drop(struct message *message);
void message_drop_all(struct message *gone); /* it and those chained to it by `next` */
const struct blob *message_encode(struct message *message, enum message_encoding which,
                                  message_encode_fn make); /* for message_encoded */
/* The blob of that encoding, made by `make` the first time; NULL when `make` found no memory. It
 * lives as long as the message. Any thread: two may make it at once, then one blob wins. */
static inline const struct blob *message_encoded(struct message *message,
                                                 enum message_encoding which,
                                                 message_encode_fn make)
{
    const struct blob *present =
        atomic_load_explicit(&message->encoded[which], memory_order_acquire);
    return present ? present : message_encode(message, which, make);
}

#endif

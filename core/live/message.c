/* Messages: one allocation each, with the texts behind the struct; freed with their encodings by
 * the last one to drop them. */
#include "live/message.h"

#include "base/mem.h"
#include "live/hub.h"

#include <assert.h>
#include <string.h>

#define MESSAGE_TEXTS 5 /* each with a NUL */
#define MALLOC_COST 16  /* of each allocation, beside what was asked for */

/* Copies a text to `*at` and moves it behind the copy's NUL. */
static const char *message_put_text(char **at, const char *text, size_t len)
{
    char *copy = *at;
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    *at += len + 1;
    return copy;
}

/* With its place in the log. */
uint64_t message_cost(const struct message *message)
{
    return sizeof(*message) + message->topic_len + message->key_len + message->event_len +
           message->dedupe_len + message->len + MESSAGE_TEXTS + MALLOC_COST +
           sizeof(struct message *);
}

static uint64_t encoding_cost(const struct blob *blob)
{
    return blob ? sizeof(*blob) + blob->len + MALLOC_COST : 0;
}

bool message_is_too_long(const struct publication *pub)
{
    return pub->len >= UINT32_MAX || pub->key_len >= UINT32_MAX || pub->event_len >= UINT32_MAX ||
           pub->dedupe_len >= UINT32_MAX;
}

struct message *message_new(struct hub *hub, const char *topic, size_t topic_len,
                            const struct publication *pub)
{
    assert(!message_is_too_long(pub)); /* so the sum cannot overflow */
    size_t size = sizeof(struct message) + topic_len + pub->len + pub->key_len + pub->event_len +
                  pub->dedupe_len + MESSAGE_TEXTS;
    struct message *message = mem_try_alloc(size);
    if (message == NULL)
        return NULL;
    char *at = (char *)(message + 1);
    memset(message, 0, sizeof(*message));
    atomic_init(&message->refs, 1);
    message->hub = hub;
    message->form = pub->form;
    message->topic_len = (uint32_t)topic_len;
    message->key_len = (uint32_t)pub->key_len;
    message->event_len = (uint32_t)pub->event_len;
    message->dedupe_len = (uint32_t)pub->dedupe_len;
    message->len = (uint32_t)pub->len;
    message->data = message_put_text(&at, pub->data, pub->len);
    message->topic = message_put_text(&at, topic, topic_len);
    message->key = message_put_text(&at, pub->key, pub->key_len);
    message->event = message_put_text(&at, pub->event, pub->event_len);
    message->dedupe = message_put_text(&at, pub->dedupe, pub->dedupe_len);
    hub_take(message->hub, message_cost(message));
    return message;
}

struct message *message_hold(struct message *message)
{
    atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
    return message;
}

void message_drop(struct message *message)
{
    if (atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel) != 1)
        return;
    uint64_t cost = message_cost(message);
    for (int i = 0; i < ENCODINGS; i++) {
        struct blob *blob = atomic_load_explicit(&message->encoded[i], memory_order_relaxed);
        cost += encoding_cost(blob);
        blob_drop(blob);
    }
    hub_give(message->hub, cost);
    mem_free(message);
}

const struct blob *message_encode(struct message *message, enum message_encoding which,
                                  message_encode_fn make)
{
    struct blob *present = NULL;
    struct blob *made = make(message);
    if (made == NULL)
        return NULL;
    if (atomic_compare_exchange_strong_explicit(&message->encoded[which], &present, made,
                                                memory_order_acq_rel, memory_order_acquire)) {
        hub_take(message->hub, encoding_cost(made));
        return made;
    }
    blob_drop(made); /* another worker was faster */
    return present;
}

uint64_t message_size(const struct message *message)
{
    return (uint64_t)message->len + message->key_len + message->event_len + message->dedupe_len;
}

void message_drop_all(struct message *gone)
{
    while (gone) {
        struct message *next = gone->next;
        message_drop(gone);
        gone = next;
    }
}

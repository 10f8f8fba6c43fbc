/* Tests of what topics are made of. */
#include "base/table.h"
#include "live.h"
#include "live/cursor.h"
#include "live/hub.h"
#include "live/index.h"


#include <stdio.h>
#include <string.h>

static void test_hash(void)
{
    static const struct hash_seed zero = {0, 0};
    /* what Python 3.11 says with PYTHONHASHSEED=0 */
    check(hash_bytes(&zero, "a", 1) == UINT64_C(0x407448d2b89b1813) &&
              hash_bytes(&zero, "abcdefgh", 8) == UINT64_C(0x3f7b849c0b8e35ea) &&
              hash_bytes(&zero, "abcdefghijklmnopqrstuvwxyz", 26) == UINT64_C(0x323ccd2fd30709df),
          "hash: it is SipHash-1-3");
}

struct card {
    struct table_link link;
    bool is_in;
};

#define CARDS 3000

static int count_found(const struct table *table, struct card *cards, int from, int to)
{
    int found = 0;
    for (int i = from; i < to; i++)
        for (struct table_link *link = table_chain(table, cards[i].link.hash); link;
             link = link->next)
            found += link == &cards[i].link;
    return found;
}

static void test_table(void)
{
    struct table table;
    static struct card cards[CARDS];
    static const struct hash_seed zero = {0, 0};
    table_init(&table);
    for (int i = 0; i < CARDS; i++)
        table_add(&table, &cards[i].link, hash_bytes(&zero, &i, sizeof(i)));
    check(table.count == CARDS && count_found(&table, cards, 0, CARDS) == CARDS &&
              table.used > CARDS / 2,
          "table: what was put in is found while it grows");
    for (int i = 0; i < CARDS / 2; i++)
        table_remove(&table, &cards[i].link);
    check(count_found(&table, cards, 0, CARDS / 2) == 0 &&
              count_found(&table, cards, CARDS / 2, CARDS) == CARDS - CARDS / 2,
          "table: what was taken out is not found any more, the others are");
    table_deinit(&table);
}

#define TEXTS 400

static void test_index(void)
{
    struct index index;
    struct hash_seed seed;
    static struct message messages[TEXTS];
    static char texts[TEXTS][8];
    uint32_t random = 1;
    bool is_right = true;
    hash_seed_init(&seed);
    index_init(&index, INDEX_DEDUPE);
    for (int i = 0; i < TEXTS; i++) {
        messages[i].dedupe_len = (uint32_t)snprintf(texts[i], sizeof(texts[i]), "%d", i);
        messages[i].dedupe = texts[i];
    }
    static bool is_in[TEXTS];
    for (int step = 0; step < 20000; step++) {
        uint32_t i = random_below(&random, TEXTS);
        struct message *found =
            index_find(&index, &seed, messages[i].dedupe, messages[i].dedupe_len);
        is_right = is_right && (found == &messages[i]) == is_in[i] && (found != NULL) == is_in[i];
        if (is_in[i])
            index_remove(&index, &seed, &messages[i]);
        else if (index_reserve(&index) == 0)
            index_put(&index, &seed, &messages[i]);
        is_in[i] = !is_in[i];
    }
    check(is_right, "index: finds exactly what is in it, whatever was taken out");
    index_deinit(&index);
}

static struct blob *encode_copy(const struct message *message)
{
    struct blob *blob = blob_new(message->len);
    memcpy(blob->data, message->data, message->len);
    return blob;
}

static void test_message(void)
{
    struct hub *hub = hub_new();
    struct topic *topic = topic_open(hub, "news", 4, NULL);
    struct publication publication = {.form = MESSAGE_BINARY,
                                      .data = "a\0b",
                                      .len = 3,
                                      .key = "k",
                                      .key_len = 1,
                                      .event = "ev",
                                      .event_len = 2,
                                      .dedupe = "once",
                                      .dedupe_len = 4};
    struct published published;
    struct message *message;
    uint64_t lost;
    topic_publish(topic, &publication, &published);
    topic_read(topic, 0, UINT64_MAX, &message, 1, &lost);
    check(message->seq == 1 && message->hub == hub && message->form == MESSAGE_BINARY &&
              message->len == 3 && memcmp(message->data, "a\0b", 4) == 0 &&
              strcmp(message->topic, "news") == 0 && strcmp(message->key, "k") == 0 &&
              strcmp(message->event, "ev") == 0 && strcmp(message->dedupe, "once") == 0 &&
              message->event_len == 2,
          "message: carries what was published");
    const struct blob *blob = message_encoded(message, ENCODING_SSE, encode_copy);
    check(blob->len == 3 && message_encoded(message, ENCODING_SSE, NULL) == blob,
          "message: is encoded once for each kind of client");
    message_drop(message);
    topic_drop(topic);
    hub_free(hub);
}

static bool parses(const char *text)
{
    uint64_t epoch;
    uint64_t seq;
    return cursor_parse(text, strlen(text), &epoch, &seq) == 0;
}

static void test_cursor(void)
{
    char text[CURSOR_SIZE];
    uint64_t epoch = 0;
    uint64_t seq = 0;
    size_t len = cursor_format(text, UINT64_MAX, UINT64_MAX);
    check(len == 37 && cursor_parse(text, len, &epoch, &seq) == 0 && epoch == UINT64_MAX &&
              seq == UINT64_MAX,
          "cursor: the largest one fits and is read back");
    check(parses("1f.0") && parses("1.18446744073709551615"), "cursor: what it may look like");
    check(!parses("") && !parses(".") && !parses("1.") && !parses(".1") && !parses("1") &&
              !parses("1.18446744073709551616") && !parses("11112222333344445.1") &&
              !parses("1F.1") && !parses("01.1") && !parses("1.01") && !parses("1.-1") &&
              !parses("1.1 ") && !parses("1.1.1") && !parses("g.1"),
          "cursor: anything else is refused");
}

void test_parts(void)
{
    test_hash();
    test_table();
    test_index();
    test_message();
    test_cursor();
}

/* Tests of stores. */
#include "live.h"
#include "live/shelf.h"
#include "live/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define FOR_EVER 0

static struct store_value value(const char *text)
{
    return (struct store_value){text, strlen(text)};
}

static int set(struct store *store, const char *key, const char *text, uint64_t now_ms,
               uint64_t ttl_ms)
{
    return store_set(store, key, strlen(key), value(text), now_ms, ttl_ms);
}

/* Whether the store has this text under the key; NULL: nothing. */
static bool has(struct store *store, const char *key, uint64_t now_ms, const char *text)
{
    struct bytes out;
    bytes_init(&out);
    int err = store_get(store, key, strlen(key), now_ms, &out);
    bool is_same = text ? err == 0 && out.len == strlen(text) &&
                              memcmp(out.data ? out.data : "", text, out.len) == 0
                        : err == -ENOENT;
    bytes_deinit(&out);
    return is_same;
}

static int add_number(const struct store_value *present, struct bytes *out, void *arg)
{
    int number = 0;
    if (present)
        memcpy(&number, present->data, sizeof(number));
    number += *(const int *)arg;
    if (number < 0)
        return -ERANGE;
    bytes_append(out, &number, sizeof(number));
    return 0;
}

static int number_of(struct store *store, const char *key)
{
    struct bytes out;
    int number = -1;
    bytes_init(&out);
    if (store_get(store, key, strlen(key), 0, &out) == 0)
        memcpy(&number, out.data, sizeof(number));
    bytes_deinit(&out);
    return number;
}

static void test_values(struct shelf *shelf)
{
    struct store *store = shelf_store(shelf, "a", 1);
    struct store *other = shelf_store(shelf, "b", 1);
    uint64_t empty = shelf_used(shelf);
    check(shelf_store(shelf, "a", 1) == store && other != store, "store: is found by its name");
    set(store, "k", "one", 0, FOR_EVER);
    set(store, "k", "two", 0, FOR_EVER);
    set(store, "", "", 0, FOR_EVER);
    check(has(store, "k", 0, "two") && has(store, "", 0, "") && has(other, "k", 0, NULL),
          "store: has what was set last, and nothing of another store");
    check(store_add(store, "k", 1, value("x"), 0, 0) == -EEXIST && has(store, "k", 0, "two") &&
              store_add(store, "l", 1, value("x"), 0, 0) == 0 && has(store, "l", 0, "x"),
          "store: add does not replace");
    check(store_delete(store, "l", 1, 0) == 0 && store_delete(store, "l", 1, 0) == -ENOENT &&
              has(store, "l", 0, NULL),
          "store: delete removes");

    struct store_value nothing = {NULL, 0};
    check(store_cas(store, "k", 1, value("one"), value("x"), 0, 0) == -EAGAIN &&
              store_cas(store, "k", 1, nothing, value("x"), 0, 0) == -EAGAIN &&
              store_cas(store, "m", 1, value(""), value("x"), 0, 0) == -EAGAIN &&
              has(store, "k", 0, "two") && has(store, "m", 0, NULL),
          "store: cas does nothing when another value is there");
    check(store_cas(store, "k", 1, value("two"), value("three"), 0, 0) == 0 &&
              store_cas(store, "m", 1, nothing, value("x"), 0, 0) == 0 &&
              has(store, "k", 0, "three") && has(store, "m", 0, "x"),
          "store: cas sets when the expected one is");

    int more = 2;
    int less = -5;
    store_update(store, "n", 1, add_number, &more, 0, 0);
    store_update(store, "n", 1, add_number, &more, 0, 0);
    check(number_of(store, "n") == 4 &&
              store_update(store, "n", 1, add_number, &less, 0, 0) == -ERANGE &&
              number_of(store, "n") == 4,
          "store: update changes a value, or nothing when it cannot");

    struct bytes keys;
    bytes_init(&keys);
    store_keys(store, 0, &keys);
    check(keys.len == 4 * sizeof(uint32_t) + 3, "store: lists its keys");
    store_clear(store);
    bytes_clear(&keys);
    store_keys(store, 0, &keys);
    check(keys.len == 0 && has(store, "k", 0, NULL) && shelf_used(shelf) == empty,
          "store: clear removes everything");
    bytes_deinit(&keys);
}

static void test_expiry(struct shelf *shelf)
{
    struct store *store = shelf_store(shelf, "a", 1);
    char key[16];
    int more = 1;
    set(store, "short", "x", 1000, 50);
    set(store, "long", "x", 1000, 500);
    check(has(store, "short", 1049, "x") && has(store, "short", 1050, NULL),
          "store: a value is gone when its time is over");
    set(store, "short", "x", 1000, 50);
    check(store_add(store, "short", 5, value("y"), 1050, 0) == 0 &&
              store_cas(store, "long", 4, (struct store_value){NULL, 0}, value("y"), 1500, 0) == 0,
          "store: what has expired is absent, for everybody");
    store_update(store, "n", 1, add_number, &more, 1000, 50);
    store_update(store, "n", 1, add_number, &more, 1040, 50);
    check(has(store, "n", 1050, NULL), "store: update keeps the time that a value has");

    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        set(store, key, "x", 2000, 1);
    }
    uint64_t full = shelf_used(shelf);
    for (int i = 0; i < 5000; i++)
        set(store, "again", "x", 3000, FOR_EVER);
    check(shelf_used(shelf) < full / 20, "store: sets free what has expired, bit by bit");
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        set(store, key, "x", 4000, 1);
    }
    shelf_sweep(shelf, 5000);
    shelf_sweep(shelf, 5000);
    check(shelf_used(shelf) < full / 20, "shelf: the sweep frees it as well");
    store_clear(store);
}

static void test_limit(void)
{
    struct shelf *shelf = shelf_new(10000);
    struct store *store = shelf_store(shelf, "a", 1);
    struct store *other = shelf_store(shelf, "b", 1);
    char text[3001];
    char key[16];
    memset(text, 'x', 3000);
    text[3000] = '\0';
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof(key), "%d", i);
        set(store, key, text, 0, i == 2 ? 10 : FOR_EVER);
    }
    uint64_t used = shelf_used(shelf);
    check(used > 9000 && set(store, "3", text, 0, 0) == -ENOSPC &&
              set(other, "3", text, 0, 0) == -ENOSPC && shelf_used(shelf) == used &&
              has(store, "3", 0, NULL),
          "store: when the shelf is full nothing is changed");
    check(set(store, "0", "y", 0, 0) == 0 && set(store, "0", text, 0, 0) == 0 &&
              set(store, "1", text, 0, 0) == 0,
          "store: replacing needs no more than the difference");
    check(set(store, "3", text, 20, 0) == 0 && has(store, "2", 20, NULL),
          "store: what has expired makes room before a set is refused");
    int count = 0;
    while (count < 1000 && snprintf(key, sizeof(key), "k%d", count) > 0 &&
           set(store, key, "", 20, 0) == 0)
        count++;
    check(count > 0 && count < 20 && shelf_used(shelf) <= 10000,
          "store: entries count with what managing them takes");
    shelf_free(shelf);
}

#define THREADS 4
#define CHANGES 3000

static void *change_often(void *arg)
{
    struct store *store = arg;
    int one = 1;
    char key[16];
    for (int i = 0; i < CHANGES; i++) {
        store_update(store, "sum", 3, add_number, &one, 0, 0);
        snprintf(key, sizeof(key), "%d", i % 100);
        set(store, key, "some text", 0, 1);
        has(store, key, i % 3, NULL);
        if (i % 50 == 0)
            store_delete(store, key, strlen(key), 0);
    }
    return NULL;
}

static void test_store_threads(void)
{
    struct shelf *shelf = shelf_new(1 << 20);
    struct store *store = shelf_store(shelf, "a", 1);
    uint64_t empty = shelf_used(shelf);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, change_often, store);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    check(number_of(store, "sum") == THREADS * CHANGES, "store: no change of any thread is lost");
    store_clear(store);
    check(shelf_used(shelf) == empty, "store: what was counted in is counted out");
    shelf_free(shelf);
}

void test_store(void)
{
    struct shelf *shelf = shelf_new(1 << 20);
    test_values(shelf);
    test_expiry(shelf);
    shelf_free(shelf);
    test_limit();
    test_store_threads();
}

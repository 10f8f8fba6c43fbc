/* A store: named data shared by all workers, with expiry and a memory limit. Values are bytes whose
 * meaning is the user's. They stand in the shelf. */
#ifndef LIVE_STORE_H
#define LIVE_STORE_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

struct store_value {
    const char *data;
    size_t len;
};

/* All are atomic, and any thread may call them. ttl_ms 0: for ever. -ENOSPC: the shelf is full,
 * -ENOMEM: the machine is; nothing was changed then. */
int store_get(struct store *store, const char *key, size_t key_len, uint64_t now_ms,
              struct bytes *out); /* appends; -ENOENT */
int store_set(struct store *store, const char *key, size_t key_len, struct store_value value,
              uint64_t now_ms, uint64_t ttl_ms);
int store_add(struct store *store, const char *key, size_t key_len, struct store_value value,
              uint64_t now_ms, uint64_t ttl_ms); /* -EEXIST */
/* Sets when the present value is `expected` (data NULL: absent); -EAGAIN when it is not. */
int store_cas(struct store *store, const char *key, size_t key_len, struct store_value expected,
              struct store_value value, uint64_t now_ms, uint64_t ttl_ms);
/* Changes the value by `change` under the lock: gets the present bytes (NULL: absent), appends the
 * new ones to `out`, which is empty. Keeps the present ttl; `ttl_ms` is for a new one. What
 * `change` returns, if that is not 0, is returned and nothing is changed. `change` must not use a
 * store. */
typedef int (*store_change_fn)(const struct store_value *present, struct bytes *out, void *arg);
int store_update(struct store *store, const char *key, size_t key_len, store_change_fn change,
                 void *arg, uint64_t now_ms, uint64_t ttl_ms);
/* -ENOENT. */
int store_delete(struct store *store, const char *key, size_t key_len, uint64_t now_ms);
void store_clear(struct store *store);
/* Appends every live key as uint32 length + bytes. */
void store_keys(struct store *store, uint64_t now_ms, struct bytes *out);

#endif

/* Counted bytes that never change: written once, shared by everybody who sends them, on any
 * thread. */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include <stdatomic.h>
#include <stddef.h>

struct blob {
    atomic_uint refs;
    size_t len;
    char data[];
};

struct blob *blob_new(size_t len);     /* one reference, data to be filled in before it is shared */
struct blob *blob_try_new(size_t len); /* NULL when out of memory */
struct blob *blob_hold(struct blob *blob);
void blob_drop(struct blob *blob); /* NULL is allowed */

#endif

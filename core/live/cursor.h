/* A cursor as text: what a client remembers of how far it has read. */
#ifndef LIVE_CURSOR_H
#define LIVE_CURSOR_H

#include <stddef.h>
#include <stdint.h>

/* "<epoch in hex>.<seq>" */
#define CURSOR_SIZE 40
size_t cursor_format(char out[CURSOR_SIZE], uint64_t epoch, uint64_t seq);
int cursor_parse(const char *text, size_t len, uint64_t *epoch, uint64_t *seq); /* 0 or -EINVAL */

#endif

/* Memory: malloc with the decision made once what happens when there is none. */
#include "base/mem.h"

#include "base/scarce.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define SMALL_CALLOC 1024 /* bytes */
#define TRIM_PIECE 98304  /* above what glibc tidies up for, below what it maps by itself */

static _Noreturn void out_of_memory(size_t size)
{
    /* The log needs memory itself, so this one goes straight to stderr. And no core is dumped: what
     * happened is said, and a core of a full machine only makes the restart late. */
    char line[80];
    int len = snprintf(line, sizeof(line), "neap: out of memory (asked for %zu bytes)\n", size);
    ssize_t written = write(STDERR_FILENO, line, (size_t)len);
    (void)written;
    _exit(EX_OSERR);
}

/* malloc(0) may answer NULL, which is no failure: ask for at least one byte. */
static size_t size_or_one(size_t size)
{
    return size ? size : 1;
}

void *mem_alloc(size_t size)
{
    void *ptr = scarce_hits(SCARCE_MUST) ? NULL : malloc(size_or_one(size));
    if (!ptr)
        out_of_memory(size);
    return ptr;
}

void *mem_calloc(size_t size)
{
    /* glibc's calloc does not look into the thread's cache, malloc does. */
    if (size <= SMALL_CALLOC)
        return memset(mem_alloc(size), 0, size);
    void *ptr = scarce_hits(SCARCE_MUST) ? NULL : calloc(1, size_or_one(size));
    if (!ptr)
        out_of_memory(size);
    return ptr;
}

void *mem_calloc_items(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        out_of_memory(SIZE_MAX);
    return mem_calloc(total);
}

void *mem_realloc(void *ptr, size_t size)
{
    void *moved = scarce_hits(SCARCE_MUST) ? NULL : realloc(ptr, size_or_one(size));
    if (!moved)
        out_of_memory(size);
    return moved;
}

void *mem_try_alloc(size_t size)
{
    if (scarce_hits(SCARCE_TRY))
        return NULL;
    return malloc(size_or_one(size));
}

void *mem_try_realloc(void *ptr, size_t size)
{
    if (scarce_hits(SCARCE_TRY))
        return NULL;
    return realloc(ptr, size_or_one(size));
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void mem_free(void *ptr)
{
    free(ptr);
}

void mem_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
    /* It leaves alone what is free at the end of a thread's arena, which may be all of it. Freeing
     * a large piece that borders on it gives that back. */
    void *volatile piece = malloc(TRIM_PIECE);
    free(piece);
#endif
}

/* Memory: malloc with the decision made once what happens when there is none. */
#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define SMALL_CALLOC 1024 /* bytes */
#define TRIM_PIECE 98304  /* above what glibc tidies up for, below what it maps by itself */

#ifdef NEAP_TESTING
#include <stdatomic.h>
#include <stdbool.h>

/* Test builds only: NEAP_FAIL_ALLOC=n makes the n-th try_ allocation of the process fail, once. */
static bool is_chosen_to_fail(void)
{
    static _Atomic long made;
    const char *chosen = getenv("NEAP_FAIL_ALLOC");
    return chosen && atomic_fetch_add(&made, 1) + 1 == atol(chosen);
}
#else
#define is_chosen_to_fail() 0
#endif

static _Noreturn void out_of_memory(size_t size)
{
    /* The log needs memory itself, so this one goes straight to stderr. */
    fprintf(stderr, "neap: out of memory (asked for %zu bytes)\n", size);
    abort();
}

/* malloc(0) may answer NULL, which is no failure: ask for at least one byte. */
static size_t size_or_one(size_t size)
{
    return size ? size : 1;
}

void *mem_alloc(size_t size)
{
    void *ptr = malloc(size_or_one(size));
    if (!ptr)
        out_of_memory(size);
    return ptr;
}

void *mem_calloc(size_t size)
{
    if (size <= SMALL_CALLOC) /* glibc's calloc does not look into the thread's cache, malloc does
                               */
        return memset(mem_alloc(size), 0, size);
    void *ptr = calloc(1, size_or_one(size));
    if (!ptr)
        out_of_memory(size);
    return ptr;
}

void *mem_realloc(void *ptr, size_t size)
{
    void *moved = realloc(ptr, size_or_one(size));
    if (!moved)
        out_of_memory(size);
    return moved;
}

void *mem_try_alloc(size_t size)
{
    if (is_chosen_to_fail())
        return NULL;
    return malloc(size_or_one(size));
}

void *mem_try_realloc(void *ptr, size_t size)
{
    if (is_chosen_to_fail())
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

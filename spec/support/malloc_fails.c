/* Preloaded into a server: the n-th malloc, calloc or realloc of the whole process fails, whoever
 * makes it, libraries too. When is said by the file that NEAP_MALLOC_FAILS names (see malloc.lua).
 * Where one fails goes to stderr. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAMES 16
#define EARLY_SIZE 4096 /* for what the linker wants while it looks for the real ones */

/* The file. Counts down at each allocation while it is above `floor`, and what is not above 1 then
 * fails. */
static struct {
    _Atomic long left;
    _Atomic long floor;
} * plan;

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static char early[EARLY_SIZE];
static size_t early_len;
static __thread bool is_busy __attribute__((tls_model("initial-exec"))); /* with what we do
                                                                            ourselves */

static void *early_alloc(size_t size)
{
    size_t at = early_len;
    early_len += (size + 15) & ~(size_t)15;
    return early_len <= sizeof early ? early + at : NULL;
}

static bool is_early(const void *ptr)
{
    return (const char *)ptr >= early && (const char *)ptr < early + sizeof early;
}

static bool find_real(void)
{
    if (real_free)
        return true;
    if (is_busy)
        return false;
    is_busy = true;
    *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&real_free = dlsym(RTLD_NEXT, "free");
    is_busy = false;
    return true;
}

/* LeakSanitizer's, in a program that has it. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* The first loads a library, for good. */
static void begin_traces(void)
{
    void *frames[1];
    if (__lsan_disable)
        __lsan_disable();
    backtrace(frames, 1);
    if (__lsan_enable)
        __lsan_enable();
}

static __attribute__((constructor)) void begin(void)
{
    const char *path = getenv("NEAP_MALLOC_FAILS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    begin_traces();
    void *map = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        plan = map;
}

static void tell(void)
{
    void *frames[FRAMES];
    is_busy = true;
    ssize_t written = write(STDERR_FILENO, "malloc fails:\n", 14);
    (void)written;
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
    is_busy = false;
}

static bool fails(void)
{
    if (!plan || is_busy)
        return false;
    long left = atomic_load(&plan->left);
    do {
        if (left <= atomic_load(&plan->floor))
            return false;
    } while (!atomic_compare_exchange_weak(&plan->left, &left, left - 1));
    if (left > 1)
        return false;
    tell();
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    if (!find_real())
        return early_alloc(size);
    return fails() ? NULL : real_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    if (!find_real())
        return early_alloc(count * size); /* zero, and never used before */
    return fails() ? NULL : real_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
    if (!find_real() || is_early(ptr)) {
        void *moved = malloc(size);
        return moved && ptr ? memcpy(moved, ptr, size) : moved; /* what is behind it is ours, too */
    }
    return size > 0 && fails() ? NULL : real_realloc(ptr, size);
}

void free(void *ptr)
{
    if (!is_early(ptr) && find_real())
        real_free(ptr);
}

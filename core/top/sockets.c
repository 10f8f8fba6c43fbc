/* The listening sockets of a server: see sockets.h. */
#include "top/sockets.h"

#include "base/mem.h"
#include "net/listener.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What to try, if we know: a sentence with a space before it. */
static const char *hint_tcp(int err)
{
    switch (err) {
    case -EADDRINUSE: return " Is another server running? Try --port 0 for any free port.";
    case -EACCES: return " Ports below 1024 need CAP_NET_BIND_SERVICE; try --port 8080.";
    case -EADDRNOTAVAIL: return " This machine has no such address; :PORT means all it has.";
    case -EAFNOSUPPORT: return " Is IPv6 switched off here? Try 127.0.0.1.";
    default: return "";
    }
}

static const char *hint_unix(const char *path, int err)
{
    struct stat info;
    switch (err) {
    case -EADDRINUSE:
        if (lstat(path, &info) == 0 && !S_ISSOCK(info.st_mode))
            return " What is there is not a socket: remove it, or take another path.";
        return " Is another server running? It has this socket.";
    case -EROFS:
    case -EPERM:
    case -EACCES: return " This user may not make or replace a socket in that folder.";
    case -ENOTDIR:
    case -ENOENT: return " Does the folder of the socket exist?";
    default: return "";
    }
}

static void explain(const char *text, const struct address *address, int err)
{
    char reason[100];
    snprintf(reason, sizeof reason, "%s", strerror(-err));
    reason[0] = (char)tolower((unsigned char)reason[0]);
    const char *hint =
        address_is_unix(address) ? hint_unix(address->sa.un.sun_path, err) : hint_tcp(err);
    fprintf(stderr, "neap: cannot listen on %s: %s.%s\n", text, reason, hint);
}

/* Binds one address for all workers and spreads its sockets over their rows. */
static int bind_one(struct sockets *sockets, size_t index, int *fds)
{
    const char *text = sockets->listen->items[index];
    struct address bound;
    int err = address_parse(&bound, text);
    if (err == 0)
        err = listener_bind(&bound, sockets->workers, fds);
    if (err) {
        explain(text, &bound, err);
        return -1;
    }
    sockets->addresses[index] = bound;
    for (int i = 0; i < sockets->workers; i++)
        sockets->fds[(size_t)i * sockets->listen->count + index] = fds[i];
    return 0;
}

/* The first `count` addresses are bound, and no worker will take them over. */
static void close_first(struct sockets *sockets, size_t count)
{
    for (int i = 0; i < sockets->workers; i++)
        for (size_t index = 0; index < count; index++)
            close(sockets->fds[(size_t)i * sockets->listen->count + index]);
}

int sockets_bind(struct sockets *sockets, const struct config_list *listen, int workers)
{
    int *fds = mem_calloc((size_t)workers * sizeof *fds);
    int err = 0;
    *sockets = (struct sockets){.listen = listen, .workers = workers};
    sockets->addresses = mem_calloc(listen->count * sizeof *sockets->addresses);
    sockets->fds = mem_calloc(listen->count * (size_t)workers * sizeof *sockets->fds);
    for (size_t i = 0; i < listen->count && err == 0; i++) {
        err = bind_one(sockets, i, fds);
        if (err)
            close_first(sockets, i);
    }
    mem_free(fds);
    return err;
}

const int *sockets_of(const struct sockets *sockets, int worker)
{
    return &sockets->fds[(size_t)worker * sockets->listen->count];
}

void sockets_describe(const struct sockets *sockets, struct bytes *text)
{
    char url[160];
    for (size_t i = 0; i < sockets->listen->count; i++) {
        address_url(&sockets->addresses[i], url, sizeof url);
        bytes_printf(text, "%s%s", i ? ", " : "", url);
    }
}

void sockets_deinit(struct sockets *sockets)
{
    for (size_t i = 0; sockets->addresses && i < sockets->listen->count; i++)
        if (sockets->addresses[i].len > 0)
            listener_unlink(&sockets->addresses[i]);
    mem_free(sockets->addresses);
    mem_free(sockets->fds);
}

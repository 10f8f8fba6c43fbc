/* Binding the sockets of a server, once, before its workers start: one per worker for TCP, one
 * shared by all for a UNIX socket. */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int set_on(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on)) == 0 ? 0 : -errno;
}

static int socket_for(const struct address *addr)
{
    int fd = socket(addr->sa.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : -errno;
}

static int bind_tcp(const struct address *addr, bool reuse_addr, bool reuse_port)
{
    int fd = socket_for(addr);
    if (fd < 0)
        return fd;
    int err = reuse_addr ? set_on(fd, SOL_SOCKET, SO_REUSEADDR) : 0;
    if (err == 0 && reuse_port)
        err = set_on(fd, SOL_SOCKET, SO_REUSEPORT);
    if (err == 0 && addr->sa.any.sa_family == AF_INET6)
        err = set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (err == 0 && bind(fd, &addr->sa.any, addr->len) != 0)
        err = -errno;
    if (err == 0)
        return fd;
    close(fd);
    return err;
}

/* Without SO_REUSEPORT: fails while anybody else has the port, however he bound it. SO_REUSEADDR,
 * because the connections of a server that has ended are no obstacle. Port 0 becomes a number. */
static int probe_tcp(struct address *addr)
{
    struct address bound;
    int fd = bind_tcp(addr, true, false);
    if (fd < 0)
        return fd;
    int err = address_of_local(&bound, fd);
    if (err == 0)
        address_set_port(addr, address_port(&bound));
    close(fd);
    return err;
}

/* Preferably without SO_REUSEADDR (listener_start sets it): two sockets that both have it may share
 * a port until one listens, so the probe of a second server would not notice us while we are still
 * starting. */
static int bind_worker(const struct address *addr)
{
    int fd = bind_tcp(addr, false, true);
    return fd == -EADDRINUSE ? bind_tcp(addr, true, true) : fd;
}

static bool is_socket_file(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISSOCK(info.st_mode);
}

/* A server that was killed leaves its socket file behind. It may go when nobody answers there. */
static int remove_stale(const struct address *addr)
{
    if (!is_socket_file(addr->sa.un.sun_path))
        return 0; /* nothing there, or something that bind will refuse */
    int fd = socket_for(addr);
    if (fd < 0)
        return fd;
    int err = connect(fd, &addr->sa.any, addr->len) == 0 ? 0 : -errno;
    close(fd);
    if (err != -ECONNREFUSED)
        return err == -ENOENT ? 0 : -EADDRINUSE; /* it answers, or its backlog is full */
    return unlink(addr->sa.un.sun_path) == 0 || errno == ENOENT ? 0 : -errno;
}

static int bind_unix(const struct address *addr)
{
    int err = remove_stale(addr);
    if (err)
        return err;
    int fd = socket_for(addr);
    if (fd < 0)
        return fd;
    if (bind(fd, &addr->sa.any, addr->len) == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

/* Each worker watches an fd of its own; behind those of a UNIX address is the same socket. */
static int open_next(const struct address *addr, int first_fd, int index)
{
    if (!address_is_unix(addr))
        return bind_worker(addr);
    if (index == 0)
        return bind_unix(addr);
    int fd = fcntl(first_fd, F_DUPFD_CLOEXEC, 0);
    return fd >= 0 ? fd : -errno;
}

int listener_bind(struct address *addr, int count, int *fds)
{
    int err = address_is_unix(addr) ? 0 : probe_tcp(addr);
    if (err)
        return err;
    for (int i = 0; i < count; i++) {
        fds[i] = open_next(addr, fds[0], i);
        if (fds[i] >= 0)
            continue;
        err = fds[i];
        if (i > 0)
            listener_unlink(addr);
        while (i-- > 0)
            close(fds[i]);
        return err;
    }
    return 0;
}

void listener_unlink(const struct address *addr)
{
    if (address_is_unix(addr))
        unlink(addr->sa.un.sun_path);
}

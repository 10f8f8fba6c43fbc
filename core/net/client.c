/* Connecting: the name is looked up, then connect(2) on one address after the other. A lookup that
 * takes too long is left behind. */
#include "net/client.h"

#include "base/mem.h"
#include "net/address.h"
#include "net/lookup.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void try_next(struct client *client, int last_err);

/* ---- the end ---- */

static void on_finish(struct loop_job *job)
{
    struct client *client = container_of(job, struct client, finish);
    client->on_done(client, client->result); /* may free client */
}

/* Either all is over, or one address did not work out and the next is tried. */
static void on_poll_closed(uv_handle_t *handle)
{
    struct client *client = container_of((uv_poll_t *)handle, struct client, poll);
    client->is_polling = false;
    if (client->is_done)
        loop_defer(client->loop, &client->finish);
    else
        try_next(client, client->result);
}

static void client_finish(struct client *client, int fd_or_err)
{
    if (client->is_done)
        return;
    client->is_done = true;
    client->result = fd_or_err;
    loop_clear_deadline(client->loop, &client->limit);
    if (client->lookup)
        lookup_abandon(client->lookup);
    client->lookup = NULL;
    if (client->found)
        freeaddrinfo(client->found);
    client->found = NULL;
    if (client->is_polling && !uv_is_closing((uv_handle_t *)&client->poll))
        uv_close((uv_handle_t *)&client->poll, on_poll_closed);
    if (!client->is_polling)
        loop_defer(client->loop, &client->finish);
    if (client->fd >= 0 && client->fd != fd_or_err)
        close(client->fd);
}

void client_cancel(struct client *client)
{
    client_finish(client, UV_ECANCELED);
}

static void client_on_limit(struct deadline *deadline)
{
    client_finish(container_of(deadline, struct client, limit), UV_ETIMEDOUT);
}

/* ---- connecting ---- */

static void give_up_attempt(struct client *client, int err)
{
    client->result = err;
    uv_close((uv_handle_t *)&client->poll, on_poll_closed);
    close(client->fd);
    client->fd = -1;
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct client *client = container_of(poll, struct client, poll);
    int error = 0;
    socklen_t len = sizeof(error);
    (void)status, (void)events; /* the socket itself says what happened */
    if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error)
        give_up_attempt(client, -error);
    else
        client_finish(client, client->fd);
}

/* 0 when under way. */
static int start_attempt(struct client *client, const struct sockaddr *addr, socklen_t len)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int err = connect(fd, addr, len) == 0 || errno == EINPROGRESS ? 0 : -errno;
    if (err == 0)
        err = uv_poll_init(&client->loop->uv, &client->poll, fd);
    if (err) {
        close(fd);
        return err;
    }
    client->fd = fd;
    client->is_polling = true;
    uv_poll_start(&client->poll, UV_WRITABLE, on_writable);
    return 0;
}

static void try_next(struct client *client, int last_err)
{
    while (client->trying) {
        const struct addrinfo *info = client->trying;
        client->trying = info->ai_next;
        last_err = start_attempt(client, info->ai_addr, info->ai_addrlen);
        if (last_err == 0)
            return;
    }
    client_finish(client, last_err);
}

/* ---- the name ---- */

static void on_looked_up(void *arg, int err, struct addrinfo *found)
{
    struct client *client = arg;
    client->lookup = NULL;
    client->found = found;
    client->trying = found;
    try_next(client, err ? err : UV_EAI_NODATA);
}

static int look_up(struct client *client, const char *host, uint16_t port)
{
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    if (getaddrinfo(host, service, &hints, &client->found) == 0) { /* a number: cannot block */
        client->trying = client->found;
        try_next(client, UV_EAI_NODATA);
        return 0;
    }
    client->found = NULL;
    return lookup_start(&client->lookup, client->loop, host, port, on_looked_up, client);
}

static int connect_unix(struct client *client, const char *text)
{
    struct address addr;
    int err = address_parse(&addr, text);
    return err ? err : start_attempt(client, &addr.sa.any, addr.len);
}

void client_connect(struct client *client, struct loop *loop, const char *host, uint16_t port,
                    uint32_t limit_ms, client_fn on_done)
{
    *client = (struct client){.loop = loop, .on_done = on_done, .fd = -1};
    client->finish.run = on_finish;
    deadline_init(&client->limit, client_on_limit);
    loop_set_deadline(loop, &client->limit, limit_ms);
    bool is_unix = strncmp(host, "unix:", 5) == 0;
    int err = is_unix ? connect_unix(client, host) : look_up(client, host, port);
    if (err)
        client_finish(client, err);
}

/* Joins curl to the loop: see http_client.h. Nothing here is called from inside a transfer's
 * callback, so a transfer may be removed wherever these functions call out. */
#if NEAP_HAS_CURL
#include "base/die.h"
#include "base/mem.h"
#include "client/http_client_state.h"
#include "client/http_transfer.h"
#include "client/http_transfer_state.h"
#include "net/poller.h"

#include <pthread.h>
#include <stdlib.h>

#define PER_HOST 32
#define TOTAL 256

struct http_socket {
    struct poller poller;
    struct http_client *client;
    struct list link;
    curl_socket_t fd;
    int wanted;     /* POLLER_READ, POLLER_WRITE: what curl waits for */
    bool is_unread; /* we do not watch for POLLER_READ */
};

/* ---- driving curl ---- */

static void tell_done(struct http_client *client)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        char *transfer = NULL;
        CURLcode code = message->data.result; /* the message dies with its transfer */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        http_transfer_done((struct http_transfer *)transfer, code);
    }
}

static void drive(struct http_client *client, curl_socket_t fd, int ready)
{
    int running;
    curl_multi_socket_action(client->multi, fd, ready, &running);
    tell_done(client);
}

static void http_client_on_due(struct deadline *deadline)
{
    drive(container_of(deadline, struct http_client, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* ---- when the receiver is slow ----
 *
 * libcurl 8.5 (Ubuntu 24.04 has it) goes on reading for a transfer that is paused, and keeps up to
 * 64 MB of it. So there we do not tell it that there is something to read: it stays in the kernel,
 * and the sender has to wait. */

static bool reads_when_paused(void)
{
    return curl_version_info(CURLVERSION_NOW)->version_num >> 8 == 0x0805;
}

static void http_client_watch(struct http_socket *socket, bool is_unread)
{
    socket->is_unread = is_unread;
    poller_want(&socket->poller, is_unread ? socket->wanted & ~POLLER_READ : socket->wanted);
}

/* Are all transfers of this connection held? With HTTP/2 it has several. */
static bool is_held(const struct http_client *client, curl_socket_t fd)
{
    if (client->held == 0 || !reads_when_paused())
        return false;
    bool has_one = false;
    list_each (link, &client->transfers) {
        const struct http_transfer *transfer = http_transfer_of(link);
        if (http_transfer_socket(transfer) != fd)
            continue;
        if (!http_transfer_is_held(transfer))
            return false;
        has_one = true;
    }
    return has_one;
}

void http_client_watch_all(struct http_client *client)
{
    list_each (link, &client->sockets) {
        struct http_socket *socket = container_of(link, struct http_socket, link);
        if (socket->is_unread)
            http_client_watch(socket, false);
    }
}

static void on_ready(struct poller *poller, int ready)
{
    struct http_socket *socket = container_of(poller, struct http_socket, poller);
    int events = 0;
    if (ready & POLLER_READ && is_held(socket->client, socket->fd)) {
        http_client_watch(socket, true);
        ready &= ~POLLER_READ;
    }
    if (ready == 0)
        return;
    if (ready & POLLER_READ)
        events |= CURL_CSELECT_IN;
    if (ready & POLLER_WRITE)
        events |= CURL_CSELECT_OUT;
    drive(socket->client, socket->fd, events); /* may close the socket */
}

/* ---- what curl asks for ---- */

static void on_poller_closed(struct poller *poller)
{
    mem_free(container_of(poller, struct http_socket, poller));
}

static void socket_close(struct http_socket *socket)
{
    list_remove(&socket->link);
    poller_close(&socket->poller, on_poller_closed);
}

static struct http_socket *socket_open(struct http_client *client, curl_socket_t fd)
{
    struct http_socket *socket = mem_calloc(sizeof(*socket));
    if (poller_open(&socket->poller, client->loop, fd, on_ready) != 0) {
        mem_free(socket);
        return NULL;
    }
    socket->client = client;
    socket->fd = fd;
    list_push(&client->sockets, &socket->link);
    curl_multi_assign(client->multi, fd, socket);
    return socket;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http_client *client = arg;
    struct http_socket *socket = socket_arg;
    char *transfer = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    if (transfer) /* not of a handle of curl's own, with which it closes connections */
        http_transfer_set_socket((struct http_transfer *)transfer,
                                 what == CURL_POLL_REMOVE ? CURL_SOCKET_BAD : fd);
    if (what == CURL_POLL_REMOVE) {
        if (socket)
            socket_close(socket);
        return 0;
    }
    if (!socket)
        socket = socket_open(client, fd);
    if (!socket)
        return -1;
    socket->wanted =
        (what & CURL_POLL_IN ? POLLER_READ : 0) | (what & CURL_POLL_OUT ? POLLER_WRITE : 0);
    http_client_watch(socket, false);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct http_client *client = arg;
    (void)multi;
    if (timeout_ms < 0)
        loop_clear_deadline(client->loop, &client->timer);
    else
        loop_set_deadline(client->loop, &client->timer, (uint64_t)timeout_ms);
    return 0;
}

/* ---- life ---- */

/* Once per process, as curl wants it: before its first use, and never undone. */
static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
    /* Without memory some of its functions divide by zero, others never end a transfer. */
    curl_global_init_mem(CURL_GLOBAL_DEFAULT, mem_alloc, mem_free, mem_realloc, mem_strdup,
                         mem_calloc_items);
}

static void open_multi(struct http_client *client)
{
    CURLM *multi = curl_multi_init();
    if (!multi)
        die("out of memory (for libcurl)");
    client->multi = multi;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
    http_client_set_maximum(client, client->per_host, client->total);
}

static void close_multi(struct http_client *client)
{
    while (!list_is_empty(&client->transfers))
        http_transfer_free(http_transfer_of(client->transfers.next));
    curl_multi_cleanup(client->multi);
    while (!list_is_empty(&client->sockets)) /* those of kept connections */
        socket_close(container_of(client->sockets.next, struct http_socket, link));
    loop_clear_deadline(client->loop, &client->timer);
}

struct http_client *http_client_new(struct loop *loop)
{
    pthread_once(&curl_once, start_curl);
    struct http_client *client = mem_calloc(sizeof(*client));
    client->loop = loop;
    client->per_host = PER_HOST;
    client->total = TOTAL;
    deadline_init(&client->timer, http_client_on_due);
    list_init(&client->sockets);
    list_init(&client->transfers);
    slots_init(&client->slots);
    open_multi(client);
    return client;
}

void http_client_set_maximum(struct http_client *client, long per_host, long total)
{
    client->per_host = per_host;
    client->total = total;
    curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, per_host);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, total);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, total); /* that may be kept */
}

struct http_transfer *http_client_find(const struct http_client *client, slot_handle handle)
{
    return slots_get(&client->slots, handle);
}

void http_client_reset(struct http_client *client)
{
    close_multi(client);
    open_multi(client);
}

void http_client_free(struct http_client *client)
{
    close_multi(client);
    slots_deinit(&client->slots);
    mem_free(client);
}
#endif

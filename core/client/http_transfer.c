/* A transfer's life in curl: what it reads from us, what it gives us, how it ends. curl's handle is
 * given back as soon as it has ended, the answer stays until http_transfer_free. */
#if NEAP_HAS_CURL
#include "client/http_transfer.h"

#include "base/mem.h"
#include "base/tally.h"
#include "client/http_client_state.h"
#include "client/http_error.h"
#include "client/http_setup.h"
#include "client/http_transfer_state.h"
#include "client/http_url.h"

#include <stdio.h>
#include <string.h>

#define HEAD_MAX 65536 /* bytes of an answer's header lines */

struct http_transfer {
    struct http_client *client;
    slot_handle handle;
    struct list link; /* in client->transfers */
    CURL *easy;       /* NULL: ended */
    curl_socket_t socket;
    struct curl_slist *headers;
    enum http_phase phase;
    int status;
    bool is_streamed;
    bool is_held;    /* curl holds received bytes back, until some are taken */
    bool is_starved; /* curl waits for more to send */
    bool has_ended_upload;
    struct bytes head;
    struct bytes body;
    struct bytes upload;
    size_t limit;
    size_t received;
    struct deadline total;
    void (*on_change)(void *owner);
    void *owner;
    char detail[CURL_ERROR_SIZE];
    char error[HTTP_ERROR_SIZE]; /* "": none */
};

struct http_transfer *http_transfer_of(struct list *link)
{
    return container_of(link, struct http_transfer, link);
}

bool http_transfer_is_held(const struct http_transfer *transfer)
{
    return transfer->is_held;
}

curl_socket_t http_transfer_socket(const struct http_transfer *transfer)
{
    return transfer->easy ? transfer->socket : CURL_SOCKET_BAD;
}

void http_transfer_set_socket(struct http_transfer *transfer, curl_socket_t fd)
{
    transfer->socket = fd;
}

static void set_held(struct http_transfer *transfer, bool is_held)
{
    if (transfer->is_held == is_held)
        return;
    transfer->is_held = is_held;
    transfer->client->held += is_held ? 1 : -1;
    if (!is_held)
        http_client_watch_all(transfer->client);
}

static void http_transfer_tell(struct http_transfer *transfer)
{
    void *owner = transfer->owner;
    transfer->owner = NULL;
    if (owner)
        transfer->on_change(owner);
}

static void set_error(struct http_transfer *transfer, const char *error)
{
    if (transfer->error[0] == '\0')
        snprintf(transfer->error, sizeof(transfer->error), "%s", error);
}

/* ---- curl's callbacks: none may remove a transfer ---- */

/* Lines of one head after the other: "100 Continue" comes before the one that counts. */
static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct http_transfer *transfer = arg;
    size_t len = size * count;
    if (transfer->phase != HTTP_WAITING)
        return len; /* a trailer */
    if (len >= 5 && strncmp(line, "HTTP/", 5) == 0)
        bytes_clear(&transfer->head);
    if (transfer->head.len + len > HEAD_MAX) {
        set_error(transfer, "too_large");
        return 0;
    }
    bytes_append(&transfer->head, line, len);
    if (line[0] != '\r' && line[0] != '\n')
        return len;
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return len;
    transfer->status = (int)status;
    transfer->phase = HTTP_RECEIVING;
    if (transfer->is_streamed)
        loop_clear_deadline(transfer->client->loop, &transfer->total);
    http_transfer_tell(transfer);
    return len;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_transfer *transfer = arg;
    size_t len = size * count;
    if (transfer->is_streamed && transfer->body.len >= HTTP_HIGH_WATER) {
        set_held(transfer, true);
        return CURL_WRITEFUNC_PAUSE; /* the same bytes come again */
    }
    if (len > transfer->limit - transfer->received ||
        bytes_try_append(&transfer->body, data, len) != 0) {
        set_error(transfer, "too_large");
        return 0;
    }
    transfer->received += len;
    if (transfer->is_streamed)
        http_transfer_tell(transfer);
    return len;
}

static size_t on_upload(char *buffer, size_t size, size_t count, void *arg)
{
    struct http_transfer *transfer = arg;
    size_t len = size * count;
    if (transfer->upload.len == 0 && !transfer->has_ended_upload) {
        transfer->is_starved = true;
        http_transfer_tell(transfer);
        return CURL_READFUNC_PAUSE;
    }
    if (len > transfer->upload.len)
        len = transfer->upload.len;
    if (len == 0)
        return 0;
    memcpy(buffer, transfer->upload.data, len);
    bytes_consume(&transfer->upload, len);
    http_transfer_tell(transfer);
    return len;
}

/* ---- the end ---- */

static void leave_curl(struct http_transfer *transfer)
{
    if (!transfer->easy)
        return;
    loop_clear_deadline(transfer->client->loop, &transfer->total);
    set_held(transfer, false);
    curl_multi_remove_handle(transfer->client->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    transfer->easy = NULL;
    transfer->headers = NULL;
}

static void http_transfer_end(struct http_transfer *transfer)
{
    if (transfer->phase == HTTP_ENDED)
        return;
    leave_curl(transfer);
    transfer->phase = HTTP_ENDED;
    http_transfer_tell(transfer);
}

void http_transfer_done(struct http_transfer *transfer, CURLcode code)
{
    char error[HTTP_ERROR_SIZE];
    long os_error = 0;
    if (code != CURLE_OK) {
        curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_error);
        http_error_text(error, sizeof(error), code, (int)os_error, transfer->detail);
        set_error(transfer, error);
    }
    http_transfer_end(transfer);
}

void http_transfer_fail(struct http_transfer *transfer, const char *error)
{
    if (transfer->phase != HTTP_ENDED)
        set_error(transfer, error);
    http_transfer_end(transfer);
}

static void on_total_due(struct deadline *deadline)
{
    http_transfer_fail(container_of(deadline, struct http_transfer, total), "timeout");
}

void http_transfer_free(struct http_transfer *transfer)
{
    http_transfer_end(transfer);
    list_remove(&transfer->link);
    slots_take(&transfer->client->slots, transfer->handle);
    bytes_deinit(&transfer->head);
    bytes_deinit(&transfer->body);
    bytes_deinit(&transfer->upload);
    mem_free(transfer);
    tally_add(TALLY_TRANSFER, -1);
}

/* ---- the beginning ---- */

static void set_callbacks(struct http_transfer *transfer)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->detail);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_upload);
    curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
}

static struct http_transfer *transfer_new(struct http_client *client,
                                          const struct http_options *options)
{
    struct http_transfer *transfer = mem_calloc(sizeof(*transfer));
    transfer->client = client;
    transfer->socket = CURL_SOCKET_BAD;
    transfer->limit = options->limit;
    transfer->is_streamed = options->is_streamed;
    deadline_init(&transfer->total, on_total_due);
    list_push(&client->transfers, &transfer->link);
    transfer->handle = slots_put(&client->slots, transfer);
    tally_add(TALLY_TRANSFER, 1);
    return transfer;
}

struct http_transfer *http_transfer_start(struct http_client *client,
                                          const struct http_options *options, const char **error)
{
    *error = http_url_problem(options->url);
    if (*error)
        return NULL;
    struct http_transfer *transfer = transfer_new(client, options);
    *error = "failed";
    transfer->easy = curl_easy_init();
    if (!transfer->easy)
        goto fail;
    set_callbacks(transfer);
    if (http_setup(transfer->easy, options, &transfer->headers) != 0)
        goto fail;
    if (curl_multi_add_handle(client->multi, transfer->easy) != CURLM_OK)
        goto fail;
    loop_set_deadline(client->loop, &transfer->total, options->total_ms);
    return transfer;

fail:
    http_transfer_free(transfer);
    return NULL;
}

/* ---- in between ---- */

static void let_on(struct http_transfer *transfer)
{
    int held = transfer->is_held ? CURLPAUSE_RECV : CURLPAUSE_CONT;
    int starved = transfer->is_starved ? CURLPAUSE_SEND : CURLPAUSE_CONT;
    if (transfer->easy)
        curl_easy_pause(transfer->easy, held | starved); /* may give and take bytes at once */
}

void http_transfer_take(struct http_transfer *transfer, size_t len)
{
    bytes_consume(&transfer->body, len);
    if (!transfer->is_held || transfer->body.len >= HTTP_HIGH_WATER)
        return;
    set_held(transfer, false);
    let_on(transfer);
}

void http_transfer_send(struct http_transfer *transfer, const void *data, size_t len)
{
    if (transfer->phase == HTTP_ENDED || len == 0)
        return;
    bytes_append(&transfer->upload, data, len);
    if (!transfer->is_starved)
        return;
    transfer->is_starved = false;
    let_on(transfer);
}

void http_transfer_end_upload(struct http_transfer *transfer)
{
    transfer->has_ended_upload = true;
    if (!transfer->is_starved)
        return;
    transfer->is_starved = false;
    let_on(transfer);
}

slot_handle http_transfer_handle(const struct http_transfer *transfer)
{
    return transfer->handle;
}

void http_transfer_watch(struct http_transfer *transfer, void (*on_change)(void *owner),
                         void *owner)
{
    transfer->on_change = on_change;
    transfer->owner = owner;
}

void *http_transfer_owner(const struct http_transfer *transfer)
{
    return transfer->owner;
}

enum http_phase http_transfer_phase(const struct http_transfer *transfer)
{
    return transfer->phase;
}

int http_transfer_status(const struct http_transfer *transfer)
{
    return transfer->status;
}

const struct bytes *http_transfer_head(const struct http_transfer *transfer)
{
    return &transfer->head;
}

const struct bytes *http_transfer_body(const struct http_transfer *transfer)
{
    return &transfer->body;
}

size_t http_transfer_unsent(const struct http_transfer *transfer)
{
    return transfer->upload.len;
}

const char *http_transfer_error(const struct http_transfer *transfer)
{
    return transfer->error[0] ? transfer->error : NULL;
}

const char *http_transfer_detail(const struct http_transfer *transfer)
{
    return transfer->detail;
}
#endif

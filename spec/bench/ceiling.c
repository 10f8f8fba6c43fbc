/* The ceiling: the least a single-threaded HTTP server on libuv + llhttp can do and still be one. It sends the same
 * bytes as app.lua under neap, so the CPU time between the two is the price of Lua and of everything neap adds.
 *
 * It does what any real server must: parses every header, keeps them until the answer is made, answers pipelined
 * requests in order, honours Connection: close, bounds its memory, and stops reading while a client does not.
 * It leaves out what neap has and this table does not measure: timeouts, streaming, chunked answers, TLS, drain. */
#include <assert.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <llhttp.h>
#include <uv.h>
#include <yyjson.h>

#if LLHTTP_VERSION_MAJOR * 100 + LLHTTP_VERSION_MINOR < 902
#error "llhttp 9.2 or newer is needed: older ones are not strict enough"
#endif

enum {
    READ_MAX = 64 * 1024,   /* bytes taken from a socket in one turn */
    HEAD_MAX = 16 * 1024,   /* URL, header names and values of one request */
    BODY_MAX = 1024 * 1024, /* body of one request */
    LISTEN_BACKLOG = 511,
};

struct text {
    const char *at;
    size_t len;
};

struct conn {
    uv_tcp_t tcp;
    uv_write_t write; /* in use while the socket was full */
    llhttp_t parser;
    bool is_closing;  /* no further request is read; close once everything is sent */
    char *unsent;     /* what uv_try_write left over; owned until the write callback */
    char *body;       /* grows up to BODY_MAX, kept for the next request */
    size_t body_len, body_cap;
    size_t url_len, head_len;
    char head[HEAD_MAX]; /* the URL, then header names and values in the order of arrival */
};

/* The one server of this program. */
static struct server {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_timer_t clock;
    llhttp_settings_t settings;
    char date[64]; /* "Date: ...\r\n", made once a second */
    size_t date_len;
    char *out;     /* answers made in one read callback: they leave in one write */
    size_t out_len, out_cap;
    char in[READ_MAX];
} server;

/* --- answers ----------------------------------------------------------------------------------------------------- */

static void *grow(void *block, size_t size)
{
    block = realloc(block, size);
    if (!block)
        abort();
    return block;
}

static void out_reserve(size_t len)
{
    if (server.out_len + len <= server.out_cap)
        return;
    server.out_cap = (server.out_len + len) * 2;
    server.out = grow(server.out, server.out_cap);
}

static void out_add(const char *at, size_t len)
{
    memcpy(server.out + server.out_len, at, len);
    server.out_len += len;
}

#define OUT_LITERAL(text) out_add("" text, sizeof(text) - 1)

static void out_add_number(size_t number)
{
    char digits[24], *at = digits + sizeof(digits);
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    out_add(at, (size_t)(digits + sizeof(digits) - at));
}

enum content { CONTENT_TEXT, CONTENT_JSON };

static void answer(struct conn *conn, const char *status, enum content content, struct text body)
{
    out_reserve(512 + body.len);
    OUT_LITERAL("HTTP/1.1 ");
    out_add(status, strlen(status));
    OUT_LITERAL("\r\n");
    out_add(server.date, server.date_len);
    if (content == CONTENT_JSON)
        OUT_LITERAL("Content-Type: application/json\r\nContent-Length: ");
    else
        OUT_LITERAL("Content-Type: text/plain; charset=utf-8\r\nContent-Length: ");
    out_add_number(body.len);
    if (conn->is_closing)
        OUT_LITERAL("\r\nConnection: close\r\n\r\n");
    else
        OUT_LITERAL("\r\n\r\n");
    out_add(body.at, body.len);
}

/* Builds the document again for each request, as neap does from a Lua table. */
static void answer_json(struct conn *conn)
{
    static char memory[16 * 1024];
    yyjson_alc pool;
    yyjson_alc_pool_init(&pool, memory, sizeof(memory));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(&pool);

    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "message", "hello");
    yyjson_mut_obj_add_int(doc, root, "n", 42);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "list");
    for (int i = 1; i <= 3; i++)
        yyjson_mut_arr_add_int(doc, list, i);

    size_t len;
    char *json = yyjson_mut_write_opts(doc, YYJSON_WRITE_NOFLAG, &pool, &len, NULL);
    assert(json);
    answer(conn, "200 OK", CONTENT_JSON, (struct text){json, len});
}

/* Matches /users/:id/posts/:post, both parameters non-empty. */
static bool match_post(struct text path, struct text *id, struct text *post)
{
    static const char users[] = "/users/", posts[] = "/posts/";
    const size_t users_len = sizeof(users) - 1, posts_len = sizeof(posts) - 1;
    if (path.len < users_len || memcmp(path.at, users, users_len))
        return false;

    const char *end = path.at + path.len;
    id->at = path.at + users_len;
    const char *slash = memchr(id->at, '/', (size_t)(end - id->at));
    if (!slash || (size_t)(end - slash) < posts_len || memcmp(slash, posts, posts_len))
        return false;

    id->len = (size_t)(slash - id->at);
    post->at = slash + posts_len;
    post->len = (size_t)(end - post->at);
    return id->len && post->len && !memchr(post->at, '/', post->len);
}

static void answer_post(struct conn *conn, struct text id, struct text post)
{
    char body[HEAD_MAX + 16];
    int len = snprintf(body, sizeof(body), "user %.*s post %.*s", (int)id.len, id.at, (int)post.len, post.at);
    answer(conn, "200 OK", CONTENT_TEXT, (struct text){body, (size_t)len});
}

#define TEXT(literal) ((struct text){"" literal, sizeof(literal) - 1})

static bool is_same(struct text a, struct text b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static void route(struct conn *conn)
{
    struct text path = {conn->head, conn->url_len}, id, post;
    const char *query = memchr(path.at, '?', path.len);
    if (query)
        path.len = (size_t)(query - path.at);
    bool is_get = conn->parser.method == HTTP_GET;

    if (is_get && is_same(path, TEXT("/")))
        answer(conn, "200 OK", CONTENT_TEXT, TEXT("hello"));
    else if (is_get && is_same(path, TEXT("/json")))
        answer_json(conn);
    else if (conn->parser.method == HTTP_POST && is_same(path, TEXT("/echo")))
        answer(conn, "200 OK", CONTENT_TEXT, (struct text){conn->body, conn->body_len});
    else if (is_get && match_post(path, &id, &post))
        answer_post(conn, id, post);
    else
        answer(conn, "404 Not Found", CONTENT_TEXT, TEXT("not found"));
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

static int on_message_begin(llhttp_t *parser)
{
    struct conn *conn = parser->data;
    conn->url_len = conn->head_len = conn->body_len = 0;
    return 0;
}

static int on_header_bytes(llhttp_t *parser, const char *at, size_t len)
{
    struct conn *conn = parser->data;
    if (len > HEAD_MAX - conn->head_len)
        return HPE_USER;
    memcpy(conn->head + conn->head_len, at, len);
    conn->head_len += len;
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct conn *conn = parser->data;
    conn->url_len += len;
    return on_header_bytes(parser, at, len);
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct conn *conn = parser->data;
    if (len > BODY_MAX - conn->body_len)
        return HPE_USER;
    if (conn->body_len + len > conn->body_cap) {
        conn->body_cap = (conn->body_len + len) * 2;
        conn->body = grow(conn->body, conn->body_cap);
    }
    memcpy(conn->body + conn->body_len, at, len);
    conn->body_len += len;
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct conn *conn = parser->data;
    conn->is_closing = !llhttp_should_keep_alive(parser) || parser->http_minor == 0 || parser->upgrade;
    route(conn);
    return conn->is_closing ? HPE_PAUSED : 0;
}

/* --- connections ------------------------------------------------------------------------------------------------- */

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle, (void)suggested;
    *buf = uv_buf_init(server.in, sizeof(server.in));
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;
    free(conn->unsent);
    free(conn->body);
    free(conn);
}

static void conn_close(struct conn *conn)
{
    if (!uv_is_closing((uv_handle_t *)&conn->tcp))
        uv_close((uv_handle_t *)&conn->tcp, on_conn_closed);
}

static void on_written(uv_write_t *write, int err)
{
    struct conn *conn = write->data;
    free(conn->unsent);
    conn->unsent = NULL;
    if (err || conn->is_closing || uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read))
        conn_close(conn);
}

/* Sends server.out: at once as far as the socket takes it; reading rests until the remainder is gone. */
static void conn_flush(struct conn *conn)
{
    uv_stream_t *stream = (uv_stream_t *)&conn->tcp;
    uv_buf_t buf = uv_buf_init(server.out, (unsigned)server.out_len);
    server.out_len = 0;

    int sent = buf.len ? uv_try_write(stream, &buf, 1) : 0;
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent < 0 || (conn->is_closing && (size_t)sent == buf.len)) {
        conn_close(conn);
        return;
    }
    if ((size_t)sent == buf.len)
        return;

    buf.base += sent;
    buf.len -= (size_t)sent;
    conn->unsent = memcpy(grow(NULL, buf.len), buf.base, buf.len);
    buf.base = conn->unsent;
    conn->write.data = conn;
    uv_read_stop(stream);
    if (uv_write(&conn->write, stream, &buf, 1, on_written))
        conn_close(conn);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct conn *conn = stream->data;
    if (count < 0) {
        conn_close(conn);
        return;
    }
    llhttp_errno_t err = llhttp_execute(&conn->parser, buf->base, (size_t)count);
    if (err != HPE_OK && !conn->is_closing) {
        conn->is_closing = true;
        answer(conn, "400 Bad Request", CONTENT_TEXT, TEXT("bad request"));
    }
    conn_flush(conn); /* conn may be closing from here on */
}

static void on_connection(uv_stream_t *listener, int err)
{
    if (err)
        return;
    struct conn *conn = grow(NULL, sizeof(*conn));
    memset(conn, 0, offsetof(struct conn, head));
    uv_tcp_init(&server.loop, &conn->tcp);
    conn->tcp.data = conn;
    llhttp_init(&conn->parser, HTTP_REQUEST, &server.settings);
    conn->parser.data = conn;

    uv_stream_t *stream = (uv_stream_t *)&conn->tcp;
    if (uv_accept(listener, stream) || uv_tcp_nodelay(&conn->tcp, 1) || uv_read_start(stream, on_alloc, on_read))
        conn_close(conn);
}

/* --- the program ------------------------------------------------------------------------------------------------- */

static void on_second(uv_timer_t *clock)
{
    (void)clock;
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    server.date_len = strftime(server.date, sizeof(server.date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
}

static int server_open(int port)
{
    llhttp_settings_init(&server.settings);
    server.settings.on_message_begin = on_message_begin;
    server.settings.on_url = on_url;
    server.settings.on_header_field = on_header_bytes;
    server.settings.on_header_value = on_header_bytes;
    server.settings.on_body = on_body;
    server.settings.on_message_complete = on_message_complete;

    uv_loop_init(&server.loop);
    uv_timer_init(&server.loop, &server.clock);
    uv_timer_start(&server.clock, on_second, 0, 1000);
    on_second(&server.clock);

    struct sockaddr_in addr;
    uv_ip4_addr("127.0.0.1", port, &addr);
    uv_tcp_init(&server.loop, &server.listener);
    int err = uv_tcp_bind(&server.listener, (struct sockaddr *)&addr, 0);
    return err ? err : uv_listen((uv_stream_t *)&server.listener, LISTEN_BACKLOG, on_connection);
}

static int server_port(void)
{
    struct sockaddr_in addr;
    int len = sizeof(addr);
    int err = uv_tcp_getsockname(&server.listener, (struct sockaddr *)&addr, &len);
    return err ? err : ntohs(addr.sin_port);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    int err = server_open(argc > 1 ? atoi(argv[1]) : 0);
    if (err) {
        fprintf(stderr, "ceiling: cannot listen: %s\n", uv_strerror(err));
        return 1;
    }
    printf("ceiling: listening on http://127.0.0.1:%d\n", server_port());
    fflush(stdout);
    return uv_run(&server.loop, UV_RUN_DEFAULT);
}

/* Answers with a file: see reply_file.h. The kernel sends it (net/sendfile.c); the task is parked
 * until it is through, so the file stays open exactly as long. */
#include "web/reply_file.h"

#include "base/mem.h"
#include "http/conditional.h"
#include "http/date.h"
#include "http/range.h"
#include "http/response.h"
#include "http/session.h"
#include "net/conn.h"
#include "net/file.h"
#include "task/task.h"
#include "value/owned.h"
#include "web/reply_head.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define BOUNDARY_SIZE 33
#define PART_HEAD_SIZE 256
#define PATH_SIZE 4096

/* A file on its way out. Owned by the userdata on the task's stack: closed when that is collected,
 * or before. */
struct sending {
    struct conn_file part; /* what the kernel is sending */
    struct file_info info;
    struct request *rq;
    struct wait *wait; /* of the parked task, NULL when it was cancelled */
    struct range_list ranges;
    int next;        /* range to send */
    bool is_busy;    /* the connection has `part` */
    bool is_dropped; /* nobody waits: close when the connection gives `part` back */
    int err;
    char type[128]; /* of each part, when there are several */
    char boundary[BOUNDARY_SIZE];
};

static void sending_close(struct sending *sending)
{
    file_close(&sending->info);
    mem_free(sending);
}

/* ---- the file ---- */

/* The answer to a file that cannot be opened: to the client there is none. */
static int raise_error(lua_State *L, int err)
{
    int status = err == -EMFILE || err == -ENFILE || err == -ENOMEM ? 503 : 404;
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "status");
    lua_pushstring(L, status == 404 ? "there is no such file" : "too many open files");
    lua_setfield(L, -2, "message");
    return lua_error(L);
}

static bool has_flag(lua_State *L, int index, const char *name)
{
    reply_head_field(L, index, name);
    bool is_set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is_set;
}

/* Tries the sibling "path.gz" (or .br) for a client that takes that coding. */
static bool open_sibling(const struct request *rq, const char *root, const char *path,
                         const char *coding, const char *ending, struct file_info *info)
{
    char sibling[PATH_SIZE];
    if (!request_accepts_coding(rq, coding))
        return false;
    int len = snprintf(sibling, sizeof(sibling), "%s%s", path, ending);
    return len < (int)sizeof(sibling) && file_open(root, sibling, info) == 0;
}

/* Opens the file, or a compressed sibling: `coding` gets its name, or NULL. */
static int open_best(const struct request *rq, const char *root, const char *path,
                     bool may_compress, struct file_info *info, const char **coding)
{
    struct file_info plain;
    *coding = NULL;
    int err = file_open(root, path, &plain);
    if (err) /* no sibling of what is not there */
        return err;
    if (may_compress && open_sibling(rq, root, path, "br", ".br", info))
        *coding = "br";
    else if (may_compress && open_sibling(rq, root, path, "gzip", ".gz", info))
        *coding = "gzip";
    if (*coding)
        file_close(&plain);
    else
        *info = plain;
    return 0;
}

/* ---- conditions and ranges ---- */

static struct condition condition(const struct request *rq, const char *name)
{
    struct condition found;
    found.text = request_header(rq, name, strlen(name), &found.len);
    return found;
}

static enum conditional_outcome check_conditions(const struct request *rq, const char *etag,
                                                 const struct file_info *info)
{
    struct conditions conditions = {
        .if_match = condition(rq, "if-match"),
        .if_none_match = condition(rq, "if-none-match"),
        .if_modified_since = condition(rq, "if-modified-since"),
        .if_unmodified_since = condition(rq, "if-unmodified-since"),
        .is_read = rq->parser.method == HTTP_GET || rq->is_head,
    };
    return conditional_check(&conditions, etag, info->modified);
}

static enum range_outcome find_ranges(const struct request *rq, const char *etag,
                                      const struct file_info *info, struct range_list *ranges)
{
    struct condition range = condition(rq, "range");
    struct condition if_range = condition(rq, "if-range");
    if (!range.text || rq->parser.method != HTTP_GET)
        return RANGE_WHOLE;
    if (if_range.text && !range_is_allowed(if_range.text, if_range.len, etag, info->modified))
        return RANGE_WHOLE;
    return range_parse(range.text, range.len, info->size, ranges);
}

#define FILE_ETAG_SIZE (ETAG_SIZE + 8)

/* A compressed sibling may have the size and time of its original, so its coding is in its etag. */
static void make_etag(char etag[FILE_ETAG_SIZE], const struct file_info *info, const char *coding)
{
    conditional_make_etag(etag, info->size, info->modified, info->modified_ns);
    size_t len = strlen(etag) - 1;
    if (coding)
        snprintf(etag + len, FILE_ETAG_SIZE - len, "-%s\"", coding);
}

static void add_header(struct request *rq, const char *name, const char *value)
{
    response_header(rq, name, strlen(name), value, strlen(value));
}

/* ---- the head ---- */

struct file_head {
    int index; /* of the response object */
    const char *etag;
    const char *coding;
    const char *boundary; /* several ranges: the body is multipart; else NULL */
    bool has_siblings;
    const struct file_info *info;
};

/* A new one each time: whoever writes a file cannot know what will part it. */
static void boundary_make(char boundary[BOUNDARY_SIZE])
{
    unsigned char random[(BOUNDARY_SIZE - 1) / 2] = {0};
    ssize_t len = getrandom(random, sizeof(random), 0);
    (void)len; /* should it ever fail, the boundary is still one */
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(boundary + 2 * i, 3, "%02x", random[i]);
}

static void add_multipart_type(struct request *rq, const char *boundary)
{
    char type[64];
    snprintf(type, sizeof(type), "multipart/byteranges; boundary=%s", boundary);
    add_header(rq, "content-type", type);
}

static void reply_file_begin(lua_State *L, struct request *rq, int status,
                             const struct file_head *head)
{
    char date[DATE_LENGTH + 1];
    date_format(date, head->info->modified);
    response_begin(rq, status);
    reply_head_write(L, rq, head->index, head->boundary ? "content-type" : NULL);
    if (head->boundary)
        add_multipart_type(rq, head->boundary);
    add_header(rq, "last-modified", date);
    add_header(rq, "accept-ranges", "bytes");
    if (head->etag)
        add_header(rq, "etag", head->etag);
    if (head->coding)
        add_header(rq, "content-encoding", head->coding);
    if (head->has_siblings)
        add_header(rq, "vary", "Accept-Encoding");
}

static size_t part_head(char out[PART_HEAD_SIZE], const struct sending *sending, int i)
{
    char range[RANGE_TEXT_SIZE];
    range_format(range, &sending->ranges.ranges[i], sending->info.size);
    return (size_t)snprintf(out, PART_HEAD_SIZE,
                            "\r\n--%s\r\nContent-Type: %.100s\r\nContent-Range: %s\r\n\r\n",
                            sending->boundary, sending->type, range);
}

static size_t parts_end(char out[PART_HEAD_SIZE], const struct sending *sending)
{
    return (size_t)snprintf(out, PART_HEAD_SIZE, "\r\n--%s--\r\n", sending->boundary);
}

static uint64_t range_size(const struct range *range)
{
    return range->last - range->first + 1;
}

static uint64_t answer_length(const struct sending *sending)
{
    const struct range_list *ranges = &sending->ranges;
    if (ranges->count == 1)
        return range_size(&ranges->ranges[0]);
    char text[PART_HEAD_SIZE];
    uint64_t length = parts_end(text, sending);
    for (int i = 0; i < ranges->count; i++)
        length += part_head(text, sending, i) + range_size(&ranges->ranges[i]);
    return length;
}

/* ---- sending ---- */

static void on_sent(struct conn *conn, struct conn_file *file, int err)
{
    (void)conn;
    struct sending *sending = container_of(file, struct sending, part);
    sending->is_busy = false;
    sending->err = err;
    if (sending->is_dropped)
        sending_close(sending);
    else if (sending->wait)
        task_wake_wait(sending->wait, 0);
}

static void sending_undo(struct wait *wait)
{
    ((struct sending *)wait->source)->wait = NULL;
}

static int send_next(lua_State *L, struct sending *sending);

static int part_finish(lua_State *L, struct wait *wait)
{
    return send_next(L, wait->source);
}

static int send_end(struct sending *sending)
{
    struct request *rq = sending->rq;
    char end[PART_HEAD_SIZE];
    if (sending->err)
        session_cut_off(rq); /* the file was shorter than announced, or the client has gone */
    else if (sending->ranges.count > 1)
        response_write(rq, end, parts_end(end, sending));
    response_end(rq);
    return 0;
}

/* Sends the next range, parked until the kernel has it all. */
static int send_next(lua_State *L, struct sending *sending)
{
    struct request *rq = sending->rq;
    if (sending->err || sending->next == sending->ranges.count || !session_conn_of(rq))
        return send_end(sending);

    struct wait *wait = task_wait(L);
    int i = sending->next++;
    const struct range *range = &sending->ranges.ranges[i];
    if (sending->ranges.count > 1) {
        char head[PART_HEAD_SIZE];
        response_write(rq, head, part_head(head, sending, i));
    }
    sending->part = (struct conn_file){
        .fd = sending->info.fd, .offset = range->first, .left = range_size(range), .done = on_sent};
    rq->sent += sending->part.left; /* these bytes do not pass through response_write */
    sending->is_busy = true;
    sending->wait = wait;
    wait->undo = sending_undo;
    wait->finish = part_finish;
    wait->source = sending;
    conn_send_file(session_conn_of(rq), &sending->part);
    return task_park(L, WAIT_FOREVER);
}

/* The task is through with it, or was cancelled. */
static int box_gc(lua_State *L)
{
    struct sending **box = lua_touserdata(L, 1);
    struct sending *sending = *box;
    *box = NULL;
    if (!sending)
        return 0;
    sending->wait = NULL;
    if (sending->is_busy)
        sending->is_dropped = true;
    else
        sending_close(sending);
    return 0;
}

/* Pushes a to-be-closed owner for what is being sent. */
static struct sending *sending_push(lua_State *L, struct request *rq)
{
    struct sending **box = lua_newuserdatauv(L, sizeof(struct sending *), 0);
    *box = NULL;
    owned_set_type(L, "neap.sending", box_gc);
    *box = mem_calloc(sizeof(struct sending));
    (*box)->rq = rq;
    (*box)->info.fd = -1;
    lua_toclose(L, -1);
    return *box;
}

static int send_parts(lua_State *L, struct request *rq, struct sending *sending,
                      struct file_head *head)
{
    char text[RANGE_TEXT_SIZE];
    bool is_partial = sending->ranges.count > 0;
    if (sending->ranges.count > 1) {
        boundary_make(sending->boundary);
        head->boundary = sending->boundary;
    }
    if (!is_partial) {
        sending->ranges.count = sending->info.size > 0;
        sending->ranges.ranges[0] = (struct range){0, sending->info.size - 1};
    }
    reply_file_begin(L, rq, is_partial ? 206 : reply_head_status(L, head->index), head);
    if (is_partial && sending->ranges.count == 1) {
        range_format(text, &sending->ranges.ranges[0], sending->info.size);
        add_header(rq, "content-range", text);
    }
    uint64_t length = sending->ranges.count > 0 ? answer_length(sending) : 0;
    if (!response_stream(rq, (int64_t)length))
        return 0;
    return send_next(L, sending);
}

static int send_file(lua_State *L, struct request *rq, struct sending *sending,
                     struct file_head *head)
{
    char text[RANGE_TEXT_SIZE];
    enum conditional_outcome condition_says = check_conditions(rq, head->etag, head->info);
    if (condition_says != CONDITIONAL_PROCEED) {
        reply_file_begin(L, rq, condition_says == CONDITIONAL_FAILED ? 412 : 304, head);
        response_send(rq, "", 0);
        return 0;
    }
    switch (find_ranges(rq, head->etag, head->info, &sending->ranges)) {
    case RANGE_UNSATISFIABLE:
        reply_file_begin(L, rq, 416, head);
        range_format(text, NULL, head->info->size);
        add_header(rq, "content-range", text);
        response_send(rq, "", 0);
        return 0;
    case RANGE_WHOLE: sending->ranges.count = 0; break;
    case RANGE_PARTIAL: break;
    }
    return send_parts(L, rq, sending, head);
}

int reply_file(lua_State *L, struct request *rq, int index)
{
    char etag[FILE_ETAG_SIZE];
    struct file_head head = {.index = index, .has_siblings = has_flag(L, index, "precompressed")};
    struct sending *sending = sending_push(L, rq);
    const char *type = reply_head_push_header(L, index, "content-type");
    snprintf(sending->type, sizeof(sending->type), "%s", type ? type : "application/octet-stream");
    reply_head_field(L, index, "root");
    const char *root = lua_tostring(L, -1);
    reply_head_field(L, index, "file");
    const char *path = lua_tostring(L, -1);
    int err = open_best(rq, root, path, head.has_siblings, &sending->info, &head.coding);
    if (err)
        return raise_error(L, err);
    head.info = &sending->info;
    if (!has_flag(L, index, "etag_off")) {
        make_etag(etag, &sending->info, head.coding);
        head.etag = etag;
    }
    return send_file(L, rq, sending, &head);
}

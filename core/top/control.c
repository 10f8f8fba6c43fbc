/* The control socket: see control.h. A caller is one connection. Its line is an inquiry, which goes
 * to every worker as an `ask`, a message that travels there and back; so a caller is freed when its
 * connection is closed and all its asks are home. */
#include "top/control.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/quote.h"
#include "base/scarce.h"
#include "life/inquiry.h"
#include "net/conn.h"
#include "top/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define ANSWER_MS 3000 /* a worker that is busy for longer is said to be */

struct caller {
    struct conn conn;
    struct control *control;
    struct list link;
    struct bytes in;
    struct bytes out;
    struct deadline limit;
    int asked, away; /* asks; those that are not home yet */
    bool is_answered;
    bool is_closed;
};

struct ask {
    struct loop_message message;
    struct loop *home;
    struct caller *caller;
    const char *text; /* the caller's line */
    int open;         /* inquiries under way there */
    struct bytes answer;
};

/* ---- the answer ---- */

static void free_if_over(struct caller *caller)
{
    if (!caller->is_closed || caller->away > 0)
        return;
    bytes_deinit(&caller->in);
    bytes_deinit(&caller->out);
    mem_free(caller);
}

/* A member of the answer. */
static void add_text(struct caller *caller, const char *name, const char *text, size_t len)
{
    bytes_printf(&caller->out, ",\"%s\":", name);
    if (quote_json(&caller->out, text, len) < 0)
        bytes_append_text(&caller->out, "\"see the log\"");
}

static void send_answer(struct caller *caller, const char *error, const struct bytes *notes)
{
    if (caller->is_answered)
        return;
    caller->is_answered = true;
    loop_clear_deadline(caller->control->loop, &caller->limit);
    bytes_append_text(&caller->out, "]");
    if (error)
        add_text(caller, "error", error, strlen(error));
    if (notes && notes->len > 0)
        add_text(caller, "notes", notes->data, notes->len);
    bytes_append_text(&caller->out, "}\n");
    conn_write(&caller->conn, caller->out.data, caller->out.len);
    conn_finish(&caller->conn);
}

void *control_owner_of(struct caller *caller)
{
    return caller->control->owner;
}

void control_answer(struct caller *caller, const char *error, const struct bytes *notes)
{
    caller->away--;
    if (caller->is_closed)
        free_if_over(caller);
    else
        send_answer(caller, error, notes);
}

/* With what is known without asking a worker. */
static void send_answers(struct caller *caller, const char *error)
{
    struct control *control = caller->control;
    struct bytes notes;
    bytes_init(&notes);
    if (strcmp(caller->in.data, "ps") == 0)
        control->events->describe(control->owner, &notes);
    send_answer(caller, error, &notes);
    bytes_deinit(&notes);
}

static void control_on_limit(struct deadline *deadline)
{
    struct caller *caller = container_of(deadline, struct caller, limit);
    char text[80];
    snprintf(text, sizeof text, "%d of %d workers do not answer, see the log", caller->away,
             caller->asked);
    send_answers(caller, text);
}

/* ---- asking the workers ---- */

/* Home again, on the main thread. */
static void on_answered(struct loop *loop, struct loop_message *message)
{
    struct ask *ask = container_of(message, struct ask, message);
    struct caller *caller = ask->caller;
    (void)loop;
    caller->away--;
    if (!caller->is_answered && ask->answer.len > 0) {
        if (caller->out.data[caller->out.len - 1] != '[')
            bytes_append_text(&caller->out, ",");
        bytes_append(&caller->out, ask->answer.data, ask->answer.len);
    }
    bytes_deinit(&ask->answer);
    mem_free(ask);
    if (caller->is_closed)
        free_if_over(caller);
    else if (caller->away == 0)
        send_answers(caller, NULL);
}

static void on_answer(void *arg, const char *answer, size_t len)
{
    struct ask *ask = arg;
    if (ask->answer.len > 0 && len > 0)
        bytes_append_text(&ask->answer, ",");
    bytes_append(&ask->answer, answer, len);
    if (--ask->open > 0)
        return;
    ask->message.run = on_answered;
    loop_post(ask->home, &ask->message);
}

static void ask_vm(struct ask *ask, struct vm *vm)
{
    if (!vm)
        return;
    ask->open++;
    inquiry_ask(vm, ask->text, on_answer, ask);
}

/* There, on the worker's thread. What an old generation does is of interest; all else is the new
 * one's business. */
static void on_asked(struct loop *loop, struct loop_message *message)
{
    struct ask *ask = container_of(message, struct ask, message);
    ask->open = 1; /* this function */
    ask_vm(ask, worker_vm(loop->owner));
    if (strcmp(ask->text, "ps") == 0)
        ask_vm(ask, worker_old_vm(loop->owner));
    on_answer(ask, NULL, 0);
}

static void ask_workers(struct caller *caller)
{
    struct control *control = caller->control;
    struct worker *worker;
    int place = 0;
    while ((worker = control->events->next_worker(control->owner, &place))) {
        struct ask *ask = mem_calloc(sizeof *ask);
        *ask = (struct ask){.message.run = on_asked,
                            .home = control->loop,
                            .caller = caller,
                            .text = caller->in.data};
        caller->asked++;
        caller->away++;
        loop_post(worker_loop(worker), &ask->message);
    }
    loop_set_deadline(control->loop, &caller->limit, ANSWER_MS);
    if (caller->away == 0)
        send_answers(caller, NULL);
}

#ifdef NEAP_TESTING
/* "scarce lua 7": Lua's 7th allocation from now fails. Answers how many the one that was armed
 * before had still to wait for. */
static bool control_arm(struct caller *caller)
{
    static const char *const kinds[SCARCE_KINDS] = {"lua", "try", "must"};
    char word[8];
    long n;
    int kind = 0;
    if (sscanf(caller->in.data, "scarce %7s %ld", word, &n) != 2)
        return false;
    while (kind < SCARCE_KINDS - 1 && strcmp(word, kinds[kind]) != 0)
        kind++;
    bytes_printf(&caller->out, "%ld", scarce_arm(kind, n));
    send_answer(caller, NULL, NULL);
    return true;
}
#else
#define control_arm(caller) false
#endif

/* The line is complete, and ends with a NUL. */
static void control_begin(struct caller *caller)
{
    struct control *control = caller->control;
    bytes_printf(&caller->out, "{%s,\"answers\":[", control->about);
    if (strcmp(caller->in.data, "hello") == 0) {
        send_answer(caller, NULL, NULL);
    } else if (strcmp(caller->in.data, "reload") == 0) {
        caller->away++;
        control->events->reload(control->owner, caller);
    } else if (!control_arm(caller)) {
        ask_workers(caller);
    }
}

/* ---- its connection ---- */

static void on_data(struct conn *conn, const char *data, size_t len)
{
    struct caller *caller = container_of(conn, struct caller, conn);
    const char *end = memchr(data, '\n', len);
    bytes_append(&caller->in, data, end ? (size_t)(end - data) : len);
    if (caller->in.len > LINE_MAX_BYTES) {
        conn_close(conn);
    } else if (end) {
        conn_read_stop(conn);
        bytes_append(&caller->in, "", 1);
        control_begin(caller);
    }
}

static void control_on_gone(struct conn *conn, int err)
{
    struct caller *caller = container_of(conn, struct caller, conn);
    if (err != UV_EOF || caller->out.len == 0) /* who has asked may end his side, and listens */
        conn_close(conn);
}

static void control_on_drained(struct conn *conn)
{
    (void)conn;
}

static void on_closed(struct conn *conn)
{
    struct caller *caller = container_of(conn, struct caller, conn);
    caller->is_answered = caller->is_closed = true;
    loop_clear_deadline(caller->control->loop, &caller->limit);
    list_remove(&caller->link);
    free_if_over(caller);
}

static const struct conn_events conn_events = {
    .on_data = on_data,
    .on_gone = control_on_gone,
    .on_drained = control_on_drained,
    .on_closed = on_closed,
};

static void control_on_accept(struct listener *listener, int fd)
{
    struct control *control = listener->owner;
    struct caller *caller = mem_calloc(sizeof *caller);
    caller->control = control;
    bytes_init(&caller->in);
    bytes_init(&caller->out);
    deadline_init(&caller->limit, control_on_limit);
    if (conn_open(&caller->conn, control->loop, fd, true, &conn_events)) {
        mem_free(caller);
        return;
    }
    list_push(&control->callers, &caller->link);
    conn_read_start(&caller->conn);
}

/* ---- life ---- */

/* Only we may enter it. 0, or -1 with the reason in `why`. */
static int prepare_dir(const char *dir, char *why, size_t size)
{
    struct stat info;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        snprintf(why, size, "cannot make %s: %s", dir, strerror(errno));
        return -1;
    }
    if (lstat(dir, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
        (info.st_mode & 077) == 0)
        return 0;
    snprintf(why, size, "%s must be a folder of yours that nobody else may enter (chmod 700)", dir);
    return -1;
}

static int listen_at(struct control *control, const char *dir, char *why, size_t size)
{
    char path[sizeof(control->address.sa.un.sun_path) + 8];
    int fd;
    int len = snprintf(path, sizeof path, "unix:%s/%d.sock", dir, (int)getpid());
    int err = len < (int)sizeof path ? address_parse(&control->address, path) : -ENAMETOOLONG;
    if (err == 0)
        err = listener_bind(&control->address, 1, &fd);
    if (err == 0)
        err = listener_start(&control->listener, control->loop, fd);
    if (err)
        snprintf(why, size, "cannot listen in %s: %s", dir, strerror(-err));
    return err;
}

static char *describe(const char *listening)
{
    struct bytes about;
    char cwd[4096];
    bytes_init(&about);
    if (!getcwd(cwd, sizeof cwd))
        cwd[0] = '\0';
    bytes_printf(&about, "\"pid\":%d,\"cwd\":", (int)getpid());
    if (quote_json(&about, cwd, strlen(cwd)) < 0)
        bytes_append_text(&about, "\"\"");
    bytes_append_text(&about, ",\"listening\":");
    if (quote_json(&about, listening, strlen(listening)) < 0)
        bytes_append_text(&about, "\"\"");
    bytes_append(&about, "", 1);
    return about.data;
}

void control_open(struct control *control, struct loop *loop, const char *dir,
                  const char *listening)
{
    char why[300];
    control->loop = loop;
    list_init(&control->callers);
    control->listener.on_accept = control_on_accept;
    control->listener.owner = control;
    if (prepare_dir(dir, why, sizeof why) == 0 && listen_at(control, dir, why, sizeof why) == 0) {
        control->is_open = true;
        control->about = describe(listening);
        return;
    }
    log_warn("`neap ps` and its like cannot reach this server: %s. Set `state` to another folder",
             why);
}

void control_close(struct control *control)
{
    if (!control->is_open)
        return;
    control->is_open = false;
    listener_stop(&control->listener, NULL);
    listener_unlink(&control->address);
    list_each (link, &control->callers)
        conn_close(&container_of(link, struct caller, link)->conn); /* they leave the list later */
    mem_free(control->about);
}

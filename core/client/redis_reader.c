/* hiredis' reader builds nothing by itself: it calls a function for each item. Ours note the items
 * in a row, so a reply is never a tree in memory. */
#include "client/redis_reader.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>

#ifdef NEAP_HAS_HIREDIS
#include <hiredis/hiredis.h>
#include <hiredis/read.h>

#define ITEM_COST 16
#define KEEP_BYTES 65536 /* of a buffer, for the next reply */

#if HIREDIS_MAJOR >= 1
typedef size_t list_size;
#else
typedef int list_size;
#endif

struct note {
    enum redis_item_kind kind;
    long long number;
    size_t at; /* in `texts` */
    size_t len;
};

struct redis_reader {
    redisReader *parser;
    struct bytes notes; /* struct note, in the order of arrival */
    struct bytes texts;
    size_t taken;    /* bytes of `notes` that were handed out */
    size_t cost;     /* of the reply that is coming in */
    size_t max_cost; /* of one */
};

/* ---- what the parser finds: NULL makes it refuse the reply ---- */

/* hiredis 1 knows more kinds, of RESP3, which we never ask for. One of them would take the place of
 * somebody's reply. */
static bool is_ours(const redisReadTask *task)
{
    switch (task->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
    case REDIS_REPLY_INTEGER:
    case REDIS_REPLY_NIL:
    case REDIS_REPLY_ARRAY: return true;
    default: return false;
    }
}

/* Any address will do: hiredis only wants to know that it worked. */
static void *add_note(const redisReadTask *task, struct note note)
{
    struct redis_reader *reader = task->privdata;
    if (!is_ours(task))
        return NULL;
    reader->cost += ITEM_COST;
    bytes_append(&reader->notes, &note, sizeof(note));
    return reader;
}

static void *on_string(const redisReadTask *task, char *text, size_t len)
{
    struct redis_reader *reader = task->privdata;
    struct note note = {.kind =
                            task->type == REDIS_REPLY_ERROR ? REDIS_ITEM_ERROR : REDIS_ITEM_TEXT,
                        .at = reader->texts.len,
                        .len = len};
    bytes_append(&reader->texts, text, len);
    return add_note(task, note);
}

static void *on_list(const redisReadTask *task, list_size count)
{
    return add_note(task, (struct note){.kind = REDIS_ITEM_LIST, .number = (long long)count});
}

static void *on_integer(const redisReadTask *task, long long number)
{
    return add_note(task, (struct note){.kind = REDIS_ITEM_INTEGER, .number = number});
}

static void *on_null(const redisReadTask *task)
{
    return add_note(task, (struct note){.kind = REDIS_ITEM_NULL});
}

#if HIREDIS_MAJOR >= 1 /* it takes a kind without a function for noted */
static void *on_double(const redisReadTask *task, double number, char *text, size_t len)
{
    (void)task, (void)number, (void)text, (void)len;
    return NULL;
}

static void *on_bool(const redisReadTask *task, int is_true)
{
    (void)task, (void)is_true;
    return NULL;
}
#endif

static void on_free(void *object)
{
    (void)object; /* it is the redis_reader */
}

static redisReplyObjectFunctions found = {.createString = on_string,
                                          .createArray = on_list,
                                          .createInteger = on_integer,
                                          .createNil = on_null,
#if HIREDIS_MAJOR >= 1
                                          .createDouble = on_double,
                                          .createBool = on_bool,
#endif
                                          .freeObject = on_free};

/* ---- life ---- */

struct redis_reader *redis_reader_new(size_t max_reply)
{
    struct redis_reader *reader = mem_calloc(sizeof(*reader));
    reader->parser = redisReaderCreateWithFunctions(&found);
    if (reader->parser == NULL) {
        mem_free(reader);
        return NULL;
    }
    reader->parser->privdata = reader;
    reader->max_cost = max_reply;
    return reader;
}

void redis_reader_free(struct redis_reader *reader)
{
    redisReaderFree(reader->parser);
    bytes_deinit(&reader->notes);
    bytes_deinit(&reader->texts);
    mem_free(reader);
}

/* ---- bytes in ---- */

int redis_reader_feed(struct redis_reader *reader, const char *data, size_t len)
{
    reader->cost += len;
    return redisReaderFeed(reader->parser, data, len) == REDIS_OK ? 0 : -EPROTO;
}

const char *redis_reader_error(const struct redis_reader *reader)
{
    return reader->parser->errstr;
}

/* ---- items out ---- */

static void redis_reader_forget(struct bytes *bytes)
{
    if (bytes->cap > KEEP_BYTES)
        bytes_deinit(bytes);
    else
        bytes_clear(bytes);
}

/* Notes what has arrived of one reply. */
static int parse(struct redis_reader *reader)
{
    void *whole = NULL;
    redis_reader_forget(&reader->notes);
    redis_reader_forget(&reader->texts);
    reader->taken = 0;
    if (redisReaderGetReply(reader->parser, &whole) != REDIS_OK)
        return -EPROTO;
    if (reader->cost > reader->max_cost)
        return -E2BIG;
    if (whole != NULL) /* what is left belongs to the next */
        reader->cost = reader->parser->len - reader->parser->pos;
    return 0;
}

int redis_reader_next(struct redis_reader *reader, struct redis_item *item)
{
    if (reader->taken == reader->notes.len) {
        int err = parse(reader);
        if (err)
            return err;
        if (reader->notes.len == 0)
            return 0;
    }
    const struct note *note = (const void *)(reader->notes.data + reader->taken);
    reader->taken += sizeof(*note);
    *item = (struct redis_item){.kind = note->kind, .number = note->number, .len = note->len};
    if (note->kind == REDIS_ITEM_TEXT || note->kind == REDIS_ITEM_ERROR)
        item->text = note->len > 0 ? reader->texts.data + note->at : "";
    return 1;
}

#endif

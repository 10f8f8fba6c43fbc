/* The lookup is a piece of work in the thread pool. libpq then gets numbers in `hostaddr` beside
 * the names in `host`, which certificates and .pgpass go by. */
#include "client/pg_address.h"

#ifdef NEAP_HAS_PQ

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/list.h"
#include "net/work.h"

#include <libpq-fe.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESSES_MAX 4 /* of one name that are tried */
#define USER_TIMEOUT_MS "10000"

struct pg_address {
    struct work work;
    pg_address_fn on_done;
    void *owner; /* NULL: nobody waits any more */
    char *dsn;
    PQconninfoOption *options; /* what the connection string says */
    struct bytes hosts;        /* names, one for each number in `numbers` */
    struct bytes numbers;
    char *error; /* NULL: none. From malloc, as libpq's */
};

/* ---- on a thread of the pool ---- */

static void add(struct bytes *list, const char *item)
{
    if (list->len > 0)
        bytes_append(list, ",", 1);
    bytes_append_text(list, item);
}

static int add_numbers(struct pg_address *address, const char *host, int most)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char number[NI_MAXHOST];
    int err = getaddrinfo(host, NULL, &hints, &found);
    if (err)
        return err;
    for (const struct addrinfo *info = found; info && most > 0; info = info->ai_next, most--) {
        if (getnameinfo(info->ai_addr, info->ai_addrlen, number, sizeof(number), NULL, 0,
                        NI_NUMERICHOST) != 0)
            continue;
        add(&address->hosts, host);
        add(&address->numbers, number);
    }
    freeaddrinfo(found);
    return 0;
}

/* One name may have several addresses; of several names each has one, as ports belong to them. */
static void look_up_all(struct pg_address *address, const char *hosts)
{
    int most = strchr(hosts, ',') ? 1 : ADDRESSES_MAX;
    char *list = mem_strdup(hosts), *rest = list, *host;
    while (!address->error && (host = strsep(&rest, ",")) != NULL) {
        int err = *host ? add_numbers(address, host, most) : EAI_NONAME;
        if (err)
            address->error = strdup(gai_strerror(err));
    }
    mem_free(list);
    bytes_append(&address->hosts, "", 1); /* the NUL */
    bytes_append(&address->numbers, "", 1);
}

static const char *option(const struct pg_address *address, const char *name)
{
    for (const PQconninfoOption *one = address->options; one->keyword; one++) {
        if (strcmp(one->keyword, name) == 0)
            return one->val;
    }
    return NULL;
}

static void run(struct work *work)
{
    struct pg_address *address = container_of(work, struct pg_address, work);
    address->options = PQconninfoParse(address->dsn, &address->error);
    if (!address->options)
        return;
    const char *host = option(address, "host");
    if (!host)
        host = getenv("PGHOST");
    bool is_path = host && strpbrk(host, "/@");
    bool has_number = option(address, "hostaddr") || getenv("PGHOSTADDR");
    if (host && *host && !is_path && !has_number)
        look_up_all(address, host);
}

/* ---- on the loop ---- */

static void on_done(struct work *work, int err)
{
    struct pg_address *address = container_of(work, struct pg_address, work);
    (void)err; /* cancelled only by who does not wait any more */
    if (address->owner)
        address->on_done(address->owner, address, address->error);
    PQconninfoFree(address->options);
    bytes_deinit(&address->hosts);
    bytes_deinit(&address->numbers);
    free(address->error);
    mem_free(address->dsn);
    mem_free(address);
}

struct pg_address *pg_address_look_up(struct loop *loop, const char *dsn, pg_address_fn on_found,
                                      void *owner)
{
    struct pg_address *address = mem_calloc(sizeof(*address));
    address->dsn = mem_strdup(dsn);
    address->on_done = on_found;
    address->owner = owner;
    address->work.run = run;
    address->work.on_done = on_done;
    work_start(&address->work, loop);
    return address;
}

void pg_address_forget(struct pg_address *address)
{
    address->owner = NULL;
    work_cancel(&address->work);
}

/* ---- connecting ---- */

struct pg_conn *pg_address_connect(const struct pg_address *address)
{
    const char *names[64], *values[64]; /* libpq has about 40 options */
    int count = 0;
#define SET(name, value) (names[count] = (name), values[count++] = (value))
    SET("gssencmode", "disable"); /* Kerberos would block; what comes later wins */
    SET("tcp_user_timeout", USER_TIMEOUT_MS);
    SET("fallback_application_name", "neap");
    SET("client_encoding", "UTF8");
    for (const PQconninfoOption *one = address->options; one->keyword && count < 60; one++) {
        if (one->val)
            SET(one->keyword, one->val);
    }
    if (address->numbers.len > 0) {
        SET("host", address->hosts.data);
        SET("hostaddr", address->numbers.data);
    }
#undef SET
    names[count] = values[count] = NULL;
    return PQconnectStartParams(names, values, 0);
}

#endif

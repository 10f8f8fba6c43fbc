/* The lookup is a piece of work in the thread pool. libpq then gets numbers in `hostaddr` beside
 * the names in `host`, which certificates and .pgpass go by. */
#include "client/pg_address.h"

#ifdef NEAP_HAS_PQ

#include "base/bytes.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
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
    int count;                 /* of items in each of these lists; 0: libpq looks by itself */
    struct bytes hosts, numbers, ports;
    char *error; /* NULL: none. From malloc, as libpq's */
};

/* ---- on a thread of the pool ---- */

static void add_item(struct bytes *list, int place, const char *item)
{
    if (place > 0)
        bytes_append(list, ",", 1);
    bytes_append_text(list, item);
}

static void pg_address_add(struct pg_address *address, const char *host, const char *number,
                           const char *port)
{
    add_item(&address->hosts, address->count, host);
    add_item(&address->numbers, address->count, number);
    add_item(&address->ports, address->count, port);
    address->count++;
}

static int add_numbers(struct pg_address *address, const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char number[NI_MAXHOST];
    int most = ADDRESSES_MAX;
    int err = getaddrinfo(host, NULL, &hints, &found);
    if (err)
        return err;
    for (const struct addrinfo *info = found; info && most > 0; info = info->ai_next, most--) {
        if (getnameinfo(info->ai_addr, info->ai_addrlen, number, sizeof(number), NULL, 0,
                        NI_NUMERICHOST) == 0)
            pg_address_add(address, host, number, port);
    }
    freeaddrinfo(found);
    return 0;
}

/* The folder of a UNIX socket, or an abstract one; empty: the usual folder. */
static bool is_path(const char *host)
{
    return !*host || *host == '/' || *host == '@';
}

/* Of several hosts, those without an address are left out. A single port is that of all. */
static void look_up_all(struct pg_address *address, const char *hosts, const char *ports)
{
    char *host_list = mem_strdup(hosts), *host_rest = host_list, *host;
    char *port_list = mem_strdup(ports), *port_rest = port_list, *port = port_list;
    int err = 0;
    while ((host = strsep(&host_rest, ",")) != NULL) {
        char *next = strsep(&port_rest, ",");
        port = next ? next : port;
        if (is_path(host))
            pg_address_add(address, host, "", port);
        else if ((err = add_numbers(address, host, port)) != 0)
            log_debug("pg: %s: %s", host, gai_strerror(err));
    }
    if (address->count == 0)
        address->error = strdup(gai_strerror(err ? err : EAI_NONAME));
    bytes_append(&address->hosts, "", 1); /* the NUL */
    bytes_append(&address->numbers, "", 1);
    bytes_append(&address->ports, "", 1);
    mem_free(host_list);
    mem_free(port_list);
}

static int count_items(const char *list)
{
    int count = 1;
    for (; *list; list++)
        count += *list == ',';
    return count;
}

static const char *option(const struct pg_address *address, const char *name)
{
    for (const PQconninfoOption *one = address->options; one->keyword; one++) {
        if (strcmp(one->keyword, name) == 0)
            return one->val;
    }
    return NULL;
}

/* Of the connection string or the environment; "": none. */
static const char *setting(const struct pg_address *address, const char *name, const char *variable)
{
    const char *value = option(address, name);
    if (!value)
        value = getenv(variable);
    return value ? value : "";
}

static void pg_address_run(struct work *work)
{
    struct pg_address *address = container_of(work, struct pg_address, work);
    address->options = PQconninfoParse(address->dsn, &address->error);
    if (!address->options)
        return;
    const char *hosts = setting(address, "host", "PGHOST");
    const char *ports = setting(address, "port", "PGPORT");
    bool has_numbers = *setting(address, "hostaddr", "PGHOSTADDR") != 0;
    bool has_name = count_items(hosts) > 1 || !is_path(hosts);
    bool fits = count_items(ports) == 1 || count_items(ports) == count_items(hosts);
    if (has_name && !has_numbers && fits) /* else it is libpq's to say what is wrong */
        look_up_all(address, hosts, ports);
}

/* ---- on the loop ---- */

static void pg_address_on_done(struct work *work, int err)
{
    struct pg_address *address = container_of(work, struct pg_address, work);
    (void)err; /* cancelled only by who does not wait any more */
    if (address->owner)
        address->on_done(address->owner, address, address->error);
    PQconninfoFree(address->options);
    bytes_deinit(&address->hosts);
    bytes_deinit(&address->numbers);
    bytes_deinit(&address->ports);
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
    address->work.run = pg_address_run;
    address->work.on_done = pg_address_on_done;
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
    if (address->count > 0) {
        SET("host", address->hosts.data);
        SET("hostaddr", address->numbers.data);
        SET("port", address->ports.data);
    }
#undef SET
    names[count] = values[count] = NULL;
    return PQconnectStartParams(names, values, 0);
}

#endif

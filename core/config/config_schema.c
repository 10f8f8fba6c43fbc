/* The table of all settings. To add one: a member in struct config, a line here, and its use. The
 * name in the environment follows from the key: timeouts.startup is NEAP_TIMEOUTS_STARTUP. */
#include "config/config.h"

#include "http/request.h"

#define AT(member) offsetof(struct config, member)
#define KB 1024ull
#define MB (1024 * KB)
#define GB (1024 * MB)
#define HOUR 3600000ull

/* As enum log_level. */
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
/* As enum header_underscores. */
static const char *const underscores[] = {"keep", "drop", "refuse", NULL};
static const char *const formats[] = {"auto", "pretty", "json", NULL}; /* as enum log_format */

#define COUNT(key, fallback, member, doc, min, max)                  \
    {                                                                \
        key, CONFIG_COUNT, fallback, AT(member), doc, NULL, min, max \
    }
#define SIZE(key, fallback, member, doc, min, max)                  \
    {                                                               \
        key, CONFIG_SIZE, fallback, AT(member), doc, NULL, min, max \
    }
#define TIME(key, fallback, member, doc)                                    \
    {                                                                       \
        key, CONFIG_DURATION, fallback, AT(member), doc, NULL, 1, 24 * HOUR \
    }
#define BOOL(key, fallback, member, doc)                        \
    {                                                           \
        key, CONFIG_BOOL, fallback, AT(member), doc, NULL, 0, 0 \
    }
#define CHOICE(key, fallback, member, doc, words)                  \
    {                                                              \
        key, CONFIG_CHOICE, fallback, AT(member), doc, words, 0, 0 \
    }
#define TEXT(key, fallback, member, doc)                        \
    {                                                           \
        key, CONFIG_TEXT, fallback, AT(member), doc, NULL, 0, 0 \
    }
#define LIST(key, fallback, member, doc)                        \
    {                                                           \
        key, CONFIG_LIST, fallback, AT(member), doc, NULL, 0, 0 \
    }

const struct config_key config_keys[] = {
    LIST("listen", "127.0.0.1:8080", listen, "addresses: HOST:PORT, :PORT or unix:PATH"),
    COUNT("workers", "0", workers, "threads that serve; 0 = one per core", 0, 256),
    COUNT("threads", "16", threads, "for files and databases, and as many for names", 1, 1024),
    COUNT("task_threads", "0", task_threads,
          "threads for task.thread; 0 = one per core, at least 4", 0, 1024),

    SIZE("limits.header_bytes", "16KB", limits.header_bytes, "request line and headers together",
         256, 16 * MB),
    SIZE("limits.header_line", "8KB", limits.header_line, "one header line", 64, 16 * MB),
    COUNT("limits.headers", "100", limits.headers, "headers of a request", 1, REQUEST_MAX_HEADERS),
    SIZE("limits.uri", "8KB", limits.uri, "the request target", 16, 16 * MB),
    SIZE("limits.body", "1MB", limits.body, "a request body, unless the route says otherwise", 0,
         0),
    SIZE("limits.body_rate", "1KB", limits.body_rate,
         "bytes a second a body must arrive with, see timeouts.body_window", 0, 1 * GB),
    COUNT("limits.fields", "1000", limits.fields, "fields of a query or form", 1, 1000000),
    COUNT("limits.parts", "1000", limits.parts, "parts of a multipart body", 1, 1000000),
    SIZE("limits.chunk_extensions", "16KB", limits.chunk_extensions,
         "chunk extensions of one request", 0, 16 * MB),
    COUNT("limits.connections", "0", limits.connections,
          "open connections; 0 = open files allowed minus 100", 0, 0),
    SIZE("limits.output", "256MB", limits.output,
         "answers that clients have not taken yet, of all connections together", 16 * KB, 0),
    SIZE("limits.input", "256MB", limits.input,
         "bodies that handlers have not taken yet, of all connections together", 16 * KB, 0),
    SIZE("limits.memory", "256MB", limits.memory,
         "memory of the Lua state of a worker; 0 = no limit", 0, 0),
    SIZE("limits.stores", "64MB", limits.stores, "memory of all stores together", 4 * KB, 0),
    SIZE("limits.topics", "256MB", limits.topics,
         "memory of all topics' messages and subscriptions together", 4 * KB, 0),
    COUNT("limits.topic_count", "250000", limits.topic_count, "topics in the process", 1, 0),

    CHOICE("headers.underscores", "keep", headers.underscores,
           "headers and trailers with a _ in their name: keep, drop or refuse the request",
           underscores),

    TIME("timeouts.header", "10s", timeouts.header,
         "from the first byte of a request to the end of its headers"),
    TIME("timeouts.idle", "60s", timeouts.idle, "between two requests of a connection"),
    TIME("timeouts.write", "30s", timeouts.write, "without the client taking a byte of the answer"),
    TIME("timeouts.body_window", "30s", timeouts.body_window,
         "over which limits.body_rate is averaged"),
    TIME("timeouts.startup", "30s", timeouts.startup,
         "for loading the application and its on_startup hooks"),
    TIME("timeouts.drain", "30s", timeouts.drain, "for requests under way when the server stops"),
    TIME("timeouts.grace", "5s", timeouts.grace,
         "for the clean-up of a cancelled task, and for each clean-up hook"),
    TIME("timeouts.stop", "45s", timeouts.stop, "for everything that a stop takes"),
    TIME("timeouts.linger", "30s", timeouts.linger,
         "at most, reading on after a refusal while the client still sends"),

    TIME("watchdog.log", "100ms", watchdog.log, "Lua that runs longer without a pause is logged"),
    TIME("watchdog.raise", "5s", watchdog.raise, "Lua that runs longer without a pause is stopped"),
    TIME("watchdog.thread", "1m", watchdog.thread,
         "a function of task.thread that runs longer is logged"),

    CHOICE("log.level", "info", log.level, "debug, info, warn or error", levels),
    CHOICE("log.format", "auto", log.format, "pretty, json, or auto: pretty on a terminal",
           formats),
    BOOL("log.access", "false", log.access,
         "a line for every request (default in `neap dev`: true)"),

    BOOL("compress.enabled", "true", compress.enabled,
         "compress answers for clients that accept it"),
    SIZE("compress.min", "1KB", compress.min, "smaller answers are sent as they are", 1, 0),

    TEXT("state", "", state,
         "folder of the control socket (default: neap in $XDG_RUNTIME_DIR, or /tmp/neap-UID)"),

    LIST("trusted_proxies", "", trusted_proxies,
         "addresses (10.0.0.0/8) whose forwarded headers count"),
    {"secrets", CONFIG_SECRETS, "", AT(secrets), "keys for signing; the first signs, all verify",
     NULL, 0, 0},
};
const size_t config_key_count = sizeof config_keys / sizeof config_keys[0];

/* Addresses as text and as the kernel wants them. Plain data, no names are looked up here. */
#include "net/address.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int parse_unix(struct address *addr, const char *path)
{
    size_t len = strlen(path);
    if (len == 0)
        return -EINVAL;
    if (len > ADDRESS_UNIX_MAX)
        return -ENAMETOOLONG;
    addr->sa.un.sun_family = AF_UNIX;
    memcpy(addr->sa.un.sun_path, path, len + 1);
    addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    return 0;
}

static int parse_in6(struct address *addr, const char *host)
{
    addr->sa.in6.sin6_family = AF_INET6;
    addr->len = sizeof(addr->sa.in6);
    return inet_pton(AF_INET6, host, &addr->sa.in6.sin6_addr) == 1 ? 0 : -EINVAL;
}

static int parse_in4(struct address *addr, const char *host)
{
    if (host[0] == '\0' || strcmp(host, "*") == 0)
        host = "0.0.0.0";
    else if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    addr->sa.in4.sin_family = AF_INET;
    addr->len = sizeof(addr->sa.in4);
    return inet_pton(AF_INET, host, &addr->sa.in4.sin_addr) == 1 ? 0 : -EINVAL;
}

/* Copies what stands before the last colon into `host`; brackets are removed and reported. */
static int split_host(const char *text, const char *colon, char *host, size_t size,
                      bool *has_brackets)
{
    size_t len = (size_t)(colon - text);
    *has_brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (*has_brackets) {
        text++;
        len -= 2;
    }
    if (len >= size)
        return -EINVAL;
    memcpy(host, text, len);
    host[len] = '\0';
    return 0;
}

int address_parse(struct address *addr, const char *text)
{
    *addr = (struct address){0};
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(addr, text + 5);

    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN];
    bool has_brackets;
    if (colon == NULL || split_host(text, colon, host, sizeof(host), &has_brackets) != 0)
        return -EINVAL;
    uint64_t port;
    if (text_parse_uint(colon + 1, strlen(colon + 1), &port) != 0 || port > UINT16_MAX)
        return -EINVAL;
    int err = has_brackets ? parse_in6(addr, host) : parse_in4(addr, host);
    if (err)
        return err;
    address_set_port(addr, (uint16_t)port);
    return 0;
}

int address_of_peer(struct address *addr, int fd)
{
    *addr = (struct address){.len = sizeof(addr->sa)};
    return getpeername(fd, &addr->sa.any, &addr->len) == 0 ? 0 : -errno;
}

int address_of_local(struct address *addr, int fd)
{
    *addr = (struct address){.len = sizeof(addr->sa)};
    return getsockname(fd, &addr->sa.any, &addr->len) == 0 ? 0 : -errno;
}

bool address_is_unix(const struct address *addr)
{
    return addr->sa.any.sa_family == AF_UNIX;
}

uint16_t address_port(const struct address *addr)
{
    switch (addr->sa.any.sa_family) {
    case AF_INET: return ntohs(addr->sa.in4.sin_port);
    case AF_INET6: return ntohs(addr->sa.in6.sin6_port);
    default: return 0;
    }
}

void address_set_port(struct address *addr, uint16_t port)
{
    switch (addr->sa.any.sa_family) {
    case AF_INET: addr->sa.in4.sin_port = htons(port); break;
    case AF_INET6: addr->sa.in6.sin6_port = htons(port); break;
    default: break;
    }
}

void address_host(const struct address *addr, char *buf, size_t size)
{
    const void *host = NULL;
    if (addr->sa.any.sa_family == AF_INET)
        host = &addr->sa.in4.sin_addr;
    else if (addr->sa.any.sa_family == AF_INET6)
        host = &addr->sa.in6.sin6_addr;
    if (host == NULL || inet_ntop(addr->sa.any.sa_family, host, buf, (socklen_t)size) == NULL)
        snprintf(buf, size, "%s", "");
}

void address_url(const struct address *addr, char *buf, size_t size)
{
    if (address_is_unix(addr)) {
        snprintf(buf, size, "unix:%s", addr->sa.un.sun_path);
        return;
    }
    char host[INET6_ADDRSTRLEN];
    address_host(addr, host, sizeof(host));
    bool is_in6 = addr->sa.any.sa_family == AF_INET6;
    snprintf(buf, size, is_in6 ? "http://[%s]:%u" : "http://%s:%u", host,
             (unsigned)address_port(addr));
}

/* Where to listen or connect: "HOST:PORT", ":PORT", "[::1]:PORT" or "unix:PATH". */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ADDRESS_UNIX_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1) /* bytes of a path */

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } sa;
    socklen_t len;
};

/* Numeric hosts and "localhost" (127.0.0.1); no host or "*" is every IPv4 address. 0, -EINVAL or
 * -ENAMETOOLONG. */
int address_parse(struct address *addr, const char *text);
int address_of_peer(struct address *addr, int fd);  /* 0 or the error */
int address_of_local(struct address *addr, int fd); /* 0 or the error */
bool address_is_unix(const struct address *addr);
uint16_t address_port(const struct address *addr); /* 0 for unix */
void address_set_port(struct address *addr, uint16_t port);
/* "127.0.0.1", "::1", "" for unix */
void address_host(const struct address *addr, char *buf, size_t size);
/* "http://127.0.0.1:8080", "unix:/path" */
void address_url(const struct address *addr, char *buf, size_t size);

#endif

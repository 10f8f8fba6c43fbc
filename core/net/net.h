/* The text of libuv's error codes, for the rooms that do not talk to libuv. */
#ifndef NET_NET_H
#define NET_NET_H

const char *net_error(int err); /* "connection refused", "timeout", ... */
void net_close_fd(int fd);

#endif

/* What a Lua state still has when its time is over: tasks, requests, WebSockets. It is named for
 * the log, and taken away when nothing else helps: whatever an application or a mistake of ours
 * does, a state comes to its end. */
#ifndef LIFE_REMAINS_H
#define LIFE_REMAINS_H

#include "base/bytes.h"
#include "http/http_server.h"

struct vm;

/* Appends a line for each: what it is and where it waits. Needs no memory of Lua. */
void remains_append(struct bytes *text, const struct vm *vm, const struct http_server *http);
/* Logs `what`, and under it what there is. */
void remains_log(const char *what, const struct vm *vm, const struct http_server *http);
/* Ends every task now, and begins to close its WebSockets. */
void remains_cut(struct vm *vm, struct http_server *http);
/* After remains_cut: gives back each request and each WebSocket that is left; their connections
 * close. WebSockets are gone in one of the next turns. False: there was nothing. */
bool remains_take(struct vm *vm, struct http_server *http);

#endif

/* The head of a response object: its status and headers, checked as they are written. */
#ifndef WEB_REPLY_HEAD_H
#define WEB_REPLY_HEAD_H

#include "http/request.h"

#include <lua.h>
#include <stdbool.h>

int reply_head_field(lua_State *L, int index, const char *name); /* pushes it, raw; its type */
int reply_head_status(lua_State *L, int index); /* 200 when there is none; raises */
/* Writes them, without the one named `except` (NULL: all); raises. */
void reply_head_write(lua_State *L, struct request *rq, int index, const char *except);
/* Pushes header `name` (or nil): its text. */
const char *reply_head_push_header(lua_State *L, int index, const char *name);

#endif

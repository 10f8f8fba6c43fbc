/* A binding: a file that adds its functions to the table that Lua gets from require "neap.core". It
 * says so itself, by BINDING at its end, and no list names it. */
#ifndef VALUE_BINDING_H
#define VALUE_BINDING_H

#include <lua.h>
#include <stdbool.h>

struct binding {
    lua_CFunction add; /* adds its fields to the table on top of the stack; may raise */
    bool is_portable;  /* needs neither sockets nor an event loop: also in task.thread */
    struct binding *next;
};

void binding_register(struct binding *binding);
/* Pushes a table with the fields of all, or of those that are portable. May raise. */
void binding_push_all(lua_State *L, bool only_portable);

#define BINDING_(function, portable)                                                    \
    __attribute__((constructor)) static void register_##function(void)                  \
    {                                                                                   \
        static struct binding binding = {.add = (function), .is_portable = (portable)}; \
        binding_register(&binding);                                                     \
    }
#define BINDING(function) BINDING_(function, false)
#define BINDING_PORTABLE(function) BINDING_(function, true)

#endif

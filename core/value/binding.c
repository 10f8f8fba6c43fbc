/* All bindings of the program: see binding.h. */
#include "value/binding.h"

static struct binding *first; /* written before main only */

void binding_register(struct binding *binding)
{
    binding->next = first;
    first = binding;
}

void binding_push_all(lua_State *L, bool only_portable)
{
    lua_newtable(L);
    int top = lua_gettop(L);
    for (const struct binding *binding = first; binding; binding = binding->next) {
        if (only_portable && !binding->is_portable)
            continue;
        binding->add(L);
        lua_settop(L, top);
    }
}

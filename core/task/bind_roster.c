/* core.task.list and core.task.clients: every task that lives, and who is being served, for `neap
 * ps`. */
#include "task/bind_task.h"
#include "task/origin.h"
#include "task/task.h"
#include "task/vm.h"

#include <lauxlib.h>

/* What it works for: the task at the root of those that started it, and what that belongs to.
 * "request 17", "GET /report, request 17", "main". */
static void push_owner(lua_State *L, struct vm *vm, const struct task *task)
{
    const struct task *root = task;
    const struct task *parent;
    int top = lua_gettop(L);
    while ((parent = task_get(vm, root->parent)) != NULL)
        root = parent;
    if (root != task)
        lua_pushstring(L, root->name);
    if (root != task && root->kind != NULL)
        lua_pushliteral(L, ", ");
    if (root->kind != NULL && root->kind_id != 0)
        lua_pushfstring(L, "%s %d", root->kind, (int)root->kind_id);
    else if (root->kind != NULL)
        lua_pushstring(L, root->kind);
    else if (root == task)
        lua_pushliteral(L, "app");
    lua_concat(L, lua_gettop(L) - top);
}

static void push_row(lua_State *L, struct vm *vm, const struct task *task)
{
    lua_createtable(L, 0, 7);
    lua_pushinteger(L, (lua_Integer)task->handle);
    lua_setfield(L, -2, "id");
    lua_pushstring(L, task->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, task_state_name(task));
    lua_setfield(L, -2, "status");
    lua_pushnumber(L, (double)(loop_now_ms(vm->loop) - task->started_ms) / 1000.0);
    lua_setfield(L, -2, "age");
    origin_push_of(L, task->state == TASK_RUNNING ? L : task_park_innermost(task->co));
    lua_setfield(L, -2, "where");
    push_owner(L, vm, task);
    lua_setfield(L, -2, "owner");
    if (task_get(vm, task->parent) != NULL) {
        lua_pushinteger(L, (lua_Integer)task->parent);
        lua_setfield(L, -2, "parent");
    }
}

/* list() -> { {id=, name=, status=, age=, where=, owner=, parent=}, ... }, oldest first. `id` is
 * what task.id() gives; age in seconds; where: "file:line", "" when no script is on its stack;
 * parent: id of the task that started it, while that lives. */
static int task_list(lua_State *L)
{
    struct vm *vm = vm_of(L);
    lua_Integer count = 0;
    lua_newtable(L);
    list_each (link, &vm->tasks) {
        push_row(L, vm, container_of(link, struct task, link));
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* clients() -> how many requests, how many WebSockets, this state still has to answer */
static int task_clients(lua_State *L)
{
    const struct vm *vm = vm_of(L);
    lua_pushinteger(L, vm->requests);
    lua_pushinteger(L, vm->websockets);
    return 2;
}

int bind_task_roster(lua_State *L)
{
    lua_pushcfunction(L, task_clients);
    lua_setfield(L, -2, "clients");
    lua_pushcfunction(L, task_list);
    lua_setfield(L, -2, "list");
    return 0;
}

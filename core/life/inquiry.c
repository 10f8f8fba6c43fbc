/* Inquiries: each is a task that calls require("neap.life.inquiry").answer(text). */
#include "life/inquiry.h"

#include "base/mem.h"
#include "net/loop.h"
#include "task/call.h"
#include "task/own_env.h"
#include "task/task.h"
#include "task/vm.h"

#include <lauxlib.h>

static const char code[] = "return require('neap.life.inquiry').answer(...)";

struct inquiry {
    struct task *task;
    const char *text; /* until the task has it */
    inquiry_fn on_answer;
    void *arg;
    struct loop_job refuse; /* when there is no memory for the task */
};

static void answer(struct inquiry *inquiry, const char *text, size_t len)
{
    inquiry->on_answer(inquiry->arg, text, len);
    mem_free(inquiry);
}

static void on_ended(struct task *task, int status)
{
    struct inquiry *inquiry = task->owner;
    size_t len = 0;
    const char *text = NULL;
    if (status == LUA_OK && lua_type(task->co, -1) == LUA_TSTRING)
        text = lua_tolstring(task->co, -1, &len);
    answer(inquiry, text, len);
}

static void on_refuse(struct loop_job *job)
{
    answer(container_of(job, struct inquiry, refuse), NULL, 0);
}

static int push_inquiry(lua_State *L)
{
    struct inquiry *inquiry = lua_touserdata(L, 1);
    if (luaL_loadbufferx(L, code, sizeof code - 1, "=control", "t") != LUA_OK)
        return lua_error(L);
    own_env_give(L);
    lua_pushstring(L, inquiry->text);
    lua_xmove(L, inquiry->task->co, 2);
    return 0;
}

void inquiry_ask(struct vm *vm, const char *text, inquiry_fn on_answer, void *arg)
{
    struct inquiry *inquiry = mem_calloc(sizeof *inquiry);
    struct task *task = task_new(vm, "control");
    *inquiry = (struct inquiry){
        .task = task, .text = text, .on_answer = on_answer, .arg = arg, .refuse.run = on_refuse};
    if (task && call_protected(vm, push_inquiry, inquiry, "control") == 0) {
        task->owner = inquiry;
        task->on_end = on_ended;
        task_start_later(task, 1);
        return;
    }
    if (task)
        task_drop(task);
    loop_defer(vm->loop, &inquiry->refuse);
}

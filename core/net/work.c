/* Work in the thread pool, by libuv's uv_queue_work. */
#include "net/work.h"

#include "base/list.h"

#include <assert.h>

static void on_thread(uv_work_t *request)
{
    struct work *work = container_of(request, struct work, request);
    work->run(work);
}

static void on_after(uv_work_t *request, int status)
{
    struct work *work = container_of(request, struct work, request);
    work->on_done(work, status); /* may free it */
}

void work_start(struct work *work, struct loop *loop)
{
    int err = uv_queue_work(&loop->uv, &work->request, on_thread, on_after);
    assert(err == 0); /* it only refuses a request without a function */
    (void)err;
}

void work_cancel(struct work *work)
{
    uv_cancel((uv_req_t *)&work->request);
}

/* What anybody asks of a vm. */
#include "task/vm.h"

#include <time.h>

uint64_t vm_now_ms(const struct vm *vm)
{
    struct timespec now;
    if (vm->loop != NULL)
        return loop_now_ms(vm->loop);
    clock_gettime(CLOCK_MONOTONIC, &now); /* as libuv's */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

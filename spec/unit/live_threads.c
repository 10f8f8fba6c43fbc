#include "live.h"
void test_threads(void)
{
}
void test_store(void)
{
}
void bench(void)
{
}

#include "work/thread.h"

#include <errno.h>

bool thread_start(struct thread *thread, const char *name, void *(*run)(void *context),
                  void *context, struct error *error)
{
    errno = pthread_create(&thread->handle, NULL, run, context);
    if (errno)
        return error_set_errno(error, "starting the thread \"%s\"", name);
    pthread_setname_np(thread->handle, name);
    thread->started = true;
    return true;
}

void thread_join(struct thread *thread)
{
    if (thread->started)
        pthread_join(thread->handle, NULL);
    thread->started = false;
}

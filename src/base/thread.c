#include "base/thread.h"

#include <errno.h>

static bool create(const struct thread_kind *kind, void *context, int state, pthread_t *ret_handle,
                   struct error *error)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, state);
    if (kind->stack)
        pthread_attr_setstacksize(&attributes, kind->stack);
    errno = pthread_create(ret_handle, &attributes, kind->run, context);
    pthread_attr_destroy(&attributes);
    return errno == 0 ? true : error_set_errno(error, "starting the thread \"%s\"", kind->name);
}

bool thread_start(struct thread *thread, const struct thread_kind *kind, void *context,
                  struct error *error)
{
    if (!create(kind, context, PTHREAD_CREATE_JOINABLE, &thread->handle, error))
        return false;
    pthread_setname_np(thread->handle, kind->name);
    thread->started = true;
    return true;
}

void thread_join(struct thread *thread)
{
    if (thread->started)
        pthread_join(thread->handle, NULL);
    thread->started = false;
}

bool thread_start_alone(const struct thread_kind *kind, void *context, struct error *error)
{
    pthread_t handle;
    return create(kind, context, PTHREAD_CREATE_DETACHED, &handle, error);
}

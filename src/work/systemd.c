#include "config.h"

#include "work/systemd.h"

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>

void systemd_ready(void)
{
    sd_notify(0, "READY=1");
}

void systemd_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

void systemd_status(const char *text)
{
    sd_notifyf(0, "STATUS=%s", text);
}

void systemd_alive(void)
{
    sd_notify(0, "WATCHDOG=1");
}

int64_t systemd_alive_interval(void)
{
    uint64_t limit;
    return sd_watchdog_enabled(0, &limit) > 0 ? (int64_t)(limit / 2) : 0;
}
#else
void systemd_ready(void)
{
}

void systemd_stopping(void)
{
}

void systemd_status(const char *text)
{
    (void)text;
}

void systemd_alive(void)
{
}

int64_t systemd_alive_interval(void)
{
    return 0;
}
#endif

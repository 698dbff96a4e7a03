/*
 * What systemd is told (sd_notify(3)); nothing where it did not start us, or Larder was built
 * without libsystemd.
 */
#ifndef LARDER_WORK_SYSTEMD_H
#define LARDER_WORK_SYSTEMD_H

#include <stdint.h>

void systemd_ready(void);
void systemd_stopping(void);

/* One line for people: `systemctl status` shows it. */
void systemd_status(const char *text);

/* A sign of life. */
void systemd_alive(void);

/* µs between signs of life that systemd asks for; 0: it asks for none. */
int64_t systemd_alive_interval(void);

#endif

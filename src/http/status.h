/*
 * Status codes and their reason phrases (RFC 9110, section 15; RFC 6585).
 */
#ifndef LARDER_HTTP_STATUS_H
#define LARDER_HTTP_STATUS_H

/*
 * A constant text, never null. A code without a phrase of its own is a "Client Error" or a "Server
 * Error", or else "Unknown".
 */
const char *status_reason(unsigned status);

#endif

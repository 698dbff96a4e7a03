#include "base/peer.h"

#include <poll.h>

bool peer_has_left(int socket)
{
    struct pollfd polled = {.fd = socket, .events = POLLRDHUP};
    return socket >= 0 && poll(&polled, 1, 0) > 0;
}

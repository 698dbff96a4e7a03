"""Free loopback ports."""

import socket

# Below those that the kernel gives out, to who asks for any port and to clients; and not where quickstart looks.
FIRST, END, BLOCK = 10000, 20000, 50
held = []  # the claims of this interpreter, which end with it


def claim(block):
    """Is the block ours alone? The name is the network's, as its ports are, and other test runs see it too."""
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0larder-test-ports-{block}")
    except OSError:
        mark.close()
        return False
    held.append(mark)
    return True


def claimed_ports():
    for block in range(FIRST, END, BLOCK):
        if claim(block):
            yield from range(block, block + BLOCK)


ports = claimed_ports()


def free_port():
    """A loopback port that nobody listens on, never the same twice: nobody else takes it before its server is up, nor
    while that is being restarted."""
    return next(port for port in ports if not accepts(port))


def accepts(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0

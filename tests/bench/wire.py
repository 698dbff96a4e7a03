"""Bytes on the wire of the page, head and body, in each coding."""

import socket

from .field import TARGET
from .report import Target, show_table
from .site import Site

CODINGS = ("identity", "gzip", "br")
SHARE_MOST = 0.25


def sizes(port, coding):
    """Bytes of the head and of the body as they came through nginx."""
    request = f"GET {TARGET} HTTP/1.1\r\nHost: larder\r\nAccept-Encoding: {coding}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, separator, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    sent = f"content-encoding: {coding}".encode() in head.lower()
    assert sent == (coding != "identity"), f"{coding} was asked for: {head}"
    return len(head) + len(separator), len(body)


def measure(field, quick):
    del quick  # nothing here takes long
    print("\nwire: bytes of the page through nginx")
    with Site(field, "wire") as site:
        site.get(TARGET)
        measured = {coding: sizes(site.nginx.port, coding) for coding in CODINGS}
    plain_head, plain_body = measured["identity"]
    rows = [("", "head", "body", "together", "of identity", "body alone")]
    for coding, (head, body) in measured.items():
        rows.append((coding, str(head), str(body), str(head + body),
                     f"{(head + body) / (plain_head + plain_body):.3f}", f"{body / plain_body:.3f}"))
    show_table(rows)
    return [target(measured, coding, parts) for parts in (slice(None), slice(1, 2)) for coding in CODINGS[1:]]


def target(measured, coding, parts):
    """`parts` picks from (head, body)."""
    share = sum(measured[coding][parts]) / sum(measured["identity"][parts])
    what = "body alone" if parts.start else "head and body"
    return Target(f"wire: {coding} / identity, {what}", f"≤ {SHARE_MOST}", f"{share:.3f}", share <= SHARE_MOST)

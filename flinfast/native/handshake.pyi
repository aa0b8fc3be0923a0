"""The opening handshake's arithmetic (RFC 6455 section 4.2.2), over csrc/flin_handshake.h."""

def accept_key(key: bytes) -> bytes:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key.

    Args:
        key: 16 bytes in base64, so 24 characters.

    Returns:
        28 characters.

    Raises:
        ValueError: It is no such key.
    """

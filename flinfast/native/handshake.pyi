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

def split_head(data: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Take the key out of an upgrade request's head.

    Args:
        data: Begins with a request head in which the field is spelled `Sec-WebSocket-Key: `.

    Returns:
        The head without the key, the key, and what follows the head; None when the head has not
        ended or holds no valid key.
    """

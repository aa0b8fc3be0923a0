"""XOR masking of payloads (RFC 6455 section 5.3), over csrc/flin_mask.h."""

def apply_mask(data: bytearray | memoryview, key: bytes, phase: int = 0) -> int:
    """XOR bytes in place with the masking key; done twice it gives the payload back.

    Args:
        data: Writable, contiguous, any size and alignment.
        key: The four bytes of the key as they stand on the wire.
        phase: Index (0 to 3) into the key of the first byte, for payloads handed over in pieces.

    Returns:
        The phase for the byte after the last.

    Raises:
        ValueError: The key is not 4 bytes or the phase not 0 to 3.
        BufferError: The data is read-only or not contiguous.
    """

def mask_implementation() -> str:
    """Implementation chosen for this CPU: "avx2", "sse2", "neon" or "portable"."""

"""CRC32C of a concatenation from the CRC32Cs of its parts: (crc, crc, bytes) -> crc; nothing is read.

A CRC is a polynomial over GF(2) modulo P. Putting n zero bytes behind a message multiplies its CRC by x^(8n) mod P, and
the initial and final inversions of the two parts cancel out, so crc(A + B) = crc(A) * x^(8 len(B)) + crc(B).
"""

from __future__ import annotations

from functools import cache

_POLYNOMIAL = 0x82F63B78  # Castagnoli (RFC 3720, B.4), reflected: the top bit is the coefficient of x^0


def _multiply(a: int, b: int) -> int:
    """a * b mod P, all reflected."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@cache
def _zeros(power: int) -> int:
    """The operator that appends 2**power zero bytes: x^(8 * 2**power) mod P."""
    if power == 0:
        return 1 << 31 - 8  # x^8
    half = _zeros(power - 1)
    return _multiply(half, half)


def combine(crc_a: int, crc_b: int, len_b: int) -> int:
    """CRC32C of A + B.

    Args:
      crc_a: CRC32C of A, an unsigned 32-bit number.
      crc_b: CRC32C of B.
      len_b: bytes of B; A's length does not matter.

    Raises:
      ValueError: `len_b` is negative.

    >>> hex(combine(0x18D12335, 0xC27E5DB2, 4))  # of b"12345" and b"6789"
    '0xe3069283'
    """
    if len_b < 0:
        raise ValueError(f"a part has {len_b} bytes")
    power = 0
    while len_b >> power:
        if len_b >> power & 1:
            crc_a = _multiply(_zeros(power), crc_a)
        power += 1
    return crc_a ^ crc_b

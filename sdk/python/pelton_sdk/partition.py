"""Which partition a key belongs to."""


def murmur2(key: bytes) -> int:
    """Kafka's murmur2 as a non-negative number: `toPositive(murmur2(key))` of the Java client."""
    m, mask, length = 0x5BD1E995, 0xFFFFFFFF, len(key)
    value = 0x9747B28C ^ length
    whole = length - length % 4
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        value = (value * m & mask) ^ k
    if whole < length:
        value = (value ^ int.from_bytes(key[whole:], "little")) * m & mask
    value = (value ^ (value >> 13)) * m & mask
    return (value ^ (value >> 15)) & 0x7FFFFFFF

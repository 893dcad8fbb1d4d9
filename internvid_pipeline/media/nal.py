"""NAL units of H.264 and HEVC: taking packets apart, reading what copying has to know, and writing the header of an mp4 file.

Sources: ITU-T H.264 7.3 and 7.4.1, ITU-T H.265 7.4.2.2, ISO/IEC 14496-15 (avcC, hvcC, length-prefixed samples).
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_START_CODE = b"\0\0\1"
_HIGH_PROFILES = (100, 110, 122, 144, 244)  # their avcC ends with chroma format and bit depths

H264_SLICES, H264_IDR, H264_SPS, H264_PPS = range(1, 6), 5, 7, 8
H264_NOT_STORED = (9, 12)  # delimiters and filler: mp4 delimits by itself
HEVC_SLICES, HEVC_PARAMETER_SETS = range(32), range(32, 35)
HEVC_IDR, HEVC_OPEN_STARTS = (19, 20), (16, 17, 18, 21)  # BLA and CRA: pictures shown before them may be left out


@dataclass(frozen=True)
class ParameterSets:
    """sets: the NAL units, in their order. length_size: bytes of the length before each NAL unit in a packet; 0: start codes."""

    sets: tuple[bytes, ...]
    length_size: int


def parameter_sets(codec: str, extradata: bytes) -> ParameterSets | None:
    """Of a stream's header; codec: `h264` or `hevc`. None where it is damaged or there is none."""
    if extradata[:3] == _START_CODE or extradata[:4] == b"\0" + _START_CODE:
        return ParameterSets(tuple(split_start_codes(extradata)), 0)
    try:
        found = _avcc_sets(extradata) if codec == "h264" else _hvcc_sets(extradata)
    except (IndexError, struct.error):
        return None
    return found if found.sets and all(found.sets) else None


def split(packet: bytes, length_size: int) -> Iterator[bytes]:
    """The NAL units of a packet. Stops where lengths run over its end."""
    if length_size == 0:
        yield from split_start_codes(packet)
        return
    position = 0
    while position + length_size < len(packet):
        size = int.from_bytes(packet[position : position + length_size], "big")
        position += length_size
        if not 0 < size <= len(packet) - position:
            return
        yield packet[position : position + size]
        position += size


def split_start_codes(data: bytes) -> Iterator[bytes]:
    """The NAL units between start codes."""
    position = data.find(_START_CODE)
    while position >= 0:
        following = data.find(_START_CODE, position + 3)
        unit = data[position + 3 : following if following >= 0 else len(data)].rstrip(b"\0")
        if unit:
            yield unit
        position = following


def length_prefixed(units: Iterable[bytes]) -> bytes:
    """The units as mp4 stores them, lengths in four bytes."""
    return b"".join(struct.pack(">I", len(unit)) + unit for unit in units)


def avcc(sequence_sets: Sequence[bytes], picture_sets: Sequence[bytes]) -> bytes:
    """The header of 8-bit 4:2:0 H.264 in mp4. Profile and level are the first sequence set's."""
    profile = sequence_sets[0][1]
    parts = [b"\1", sequence_sets[0][1:4], b"\xff", bytes([0xE0 | len(sequence_sets)])]
    parts += [struct.pack(">H", len(one)) + one for one in sequence_sets]
    parts += [bytes([len(picture_sets)]), *(struct.pack(">H", len(one)) + one for one in picture_sets)]
    return b"".join([*parts, b"\xfd\xf8\xf8\0" if profile in _HIGH_PROFILES else b""])


def set_number(unit: bytes) -> int:
    """Number of an H.264 sequence or picture parameter set, by which pictures refer to it."""
    return _golomb(unit[4:] if unit[0] & 31 == H264_SPS else unit[1:])


def _golomb(data: bytes) -> int:
    bits = "".join(f"{byte:08b}" for byte in data[:8])
    zeros = bits.find("1")
    return int(bits[zeros : 2 * zeros + 1], 2) - 1 if zeros >= 0 and 2 * zeros < len(bits) else 0


def _avcc_sets(extradata: bytes) -> ParameterSets:
    units = []
    position = 6
    for count_at, mask in ((5, 31), (None, 255)):
        if count_at is None:
            count_at, position = position, position + 1
        for _ in range(extradata[count_at] & mask):
            (size,) = struct.unpack_from(">H", extradata, position)
            units.append(extradata[position + 2 : position + 2 + size])
            position += 2 + size
    return ParameterSets(tuple(units), (extradata[4] & 3) + 1)


def _hvcc_sets(extradata: bytes) -> ParameterSets:
    units = []
    position = 23
    for _ in range(extradata[22]):
        (count,) = struct.unpack_from(">H", extradata, position + 1)
        position += 3
        for _ in range(count):
            (size,) = struct.unpack_from(">H", extradata, position)
            units.append(extradata[position + 2 : position + 2 + size])
            position += 2 + size
    return ParameterSets(tuple(units), (extradata[21] & 3) + 1)

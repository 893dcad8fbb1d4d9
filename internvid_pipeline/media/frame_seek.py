"""Single frames of a video that was scanned before, decoded by seeking to the key frame before each."""

from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import av
from av.error import FFmpegError

from internvid_pipeline.errors import is_machine_fault
from internvid_pipeline.media.container import check_size, open_media, packets_of, video_stream
from internvid_pipeline.media.decode import without_smoothing
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.times import FrameTimes

_NEAR_S = 3.0  # what lies further ahead is sought anew


def frames_at(path: Path, times: FrameTimes, numbers: Sequence[int], limits: MediaLimits) -> Iterator[tuple[int, av.VideoFrame]]:
    """The frames of these numbers, which must be ascending, each with its number; those that cannot be had by seeking are left out.

    Frames between them that no other frame refers to are not decoded. Nothing is given where the container's own times are unusable
    (`times.repaired`): a frame is known by its time alone. Raises UnreadableMedia, MediaLimitError.
    """
    if times.repaired or len(numbers) == 0:
        return
    wanted = {int(times.pts[number]): number for number in numbers}
    with open_media(path, limits) as container:
        stream = video_stream(container)
        if stream is None:
            return
        stream.codec_context.options = {"max_pixels": str(limits.max_pixels), **without_smoothing(stream.codec_context.name)}
        near = int(_NEAR_S / times.time_base)
        queue = sorted(wanted)
        while queue:
            target = queue[0]
            for frame in _from(container, stream, target, wanted.keys()):
                check_size(frame.width, frame.height, limits)
                if frame.pts in wanted and frame.pts in queue and not frame.is_corrupt:
                    queue.remove(frame.pts)
                    yield wanted[frame.pts], frame
                while queue and frame.pts is not None and queue[0] < frame.pts:
                    queue.pop(0)  # it is not there
                if not queue or (frame.pts is not None and frame.pts >= target and queue[0] - frame.pts > near):
                    break
            if queue and queue[0] == target:
                queue.pop(0)


def _from(container: av.container.InputContainer, stream: av.VideoStream, target: int, wanted: Container[int]) -> Iterator[av.VideoFrame]:
    """Frames from the key frame before `target` on, as far as the file can be read."""
    context = stream.codec_context
    try:
        container.seek(target, stream=stream, backward=True)
        for packet in packets_of(container, stream):
            context.skip_frame = "DEFAULT" if packet.pts is None or packet.pts in wanted else "NONREF"
            try:
                yield from context.decode(packet)
            except FFmpegError as error:
                if is_machine_fault(error):
                    raise
    except FFmpegError as error:
        if is_machine_fault(error):
            raise

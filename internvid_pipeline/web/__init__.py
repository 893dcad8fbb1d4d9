"""Everything that comes from the web: published lists, queries, downloads. The only place that knows yt-dlp and opens sockets.

Whatever yt-dlp fetches, and whatever we fetch ourselves, goes through one guarded connection (`guard`): names are resolved and checked
before each connection and redirect, bytes and time are counted per item, and requests are paced per host for all workers together.
"""

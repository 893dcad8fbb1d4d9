"""internvid: from a list of videos to a video-text data set, in stages that can be stopped and resumed anywhere."""

__version__ = "0.1.0"

"""The only place that knows PyAV, ffmpeg and PySceneDetect: probing, one-pass scan, clips, frames, sound."""

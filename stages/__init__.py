"""The shipped stages, one file each: file name = stage name = key in the config. Only `internvid_pipeline.registry` loads them."""

"""Lines by which a job tells the one who follows it how far it is."""

CHECKED = "internvid: checked"  # begins the line after which a job is at work

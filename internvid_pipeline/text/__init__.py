"""What is known of texts: subtitles, later their language."""

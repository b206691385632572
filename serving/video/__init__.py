"""Where pictures come from: video files and live cameras."""

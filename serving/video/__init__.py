"""Sources of frames: video files and live cameras."""

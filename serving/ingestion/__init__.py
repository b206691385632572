"""From videos and live streams to stored tracklets."""

"""The tracker: detections of one camera to tracklets."""

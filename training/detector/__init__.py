"""YOLOv4 from its Darknet definition, trained by the trainer of ultralytics."""

"""What the two trainings on crops share: data, augmentation, backbone, optimization, the Lightning run."""

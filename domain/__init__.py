"""Types shared by several folders: boxes, pictures, embeddings, attribute schemas, cameras, cards, settings, errors.

Importing this package switches off the telemetry of all packages before they are imported.
"""

from domain import privacy

privacy.switch_telemetry_off()

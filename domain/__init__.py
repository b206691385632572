"""The words all parts share: boxes, image preparation, embeddings, attribute schema, camera, card, settings, errors.

Pictures of people never leave the machine unasked, so the telemetry of every package is off before it is imported.
"""

from domain import privacy

privacy.switch_telemetry_off()

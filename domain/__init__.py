"""Types shared by several folders: boxes, pictures, embeddings, attribute schemas, cameras, cards, settings, errors.

Every process of the project imports this package. The import switches off the telemetry of all packages before they
are imported, and lets the process create files for its user alone.
"""

from domain import privacy

privacy.switch_telemetry_off()
privacy.keep_files_private()

"""Search and tracking: the commands are the modules at the top, their parts the folders.

`video` reads files and live streams, `tracking` and `perception` detect and follow people, `ingestion` stores sightings
in `database`, `search` ranks them with the mathematics of `matching`, `cases` and `access` hold the rules of use, and
`web` is the HTTP interface.
"""

"""Search and track. What one runs lies here, as a module each; its parts lie in the folders.

`recording` gives pictures, `tracking` finds and follows people in them, `database` keeps what was seen, `searching`
finds a person in it, and `web` is how others reach all that.
"""

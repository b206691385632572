"""From annotations in a foreign format to a district's folder: choices, splits, pictures, crops and description."""

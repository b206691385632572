"""Watches of cases: new sightings that may show a person sought are told on the page and to a webhook."""

"""Sheets for officers on foot: the matches of a case as a PDF and behind a link, with other people covered."""

"""Cases: what is searched for, what was judged, and what leaves as labels."""

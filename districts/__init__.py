"""What a district's data is: its layout, readers of the standard formats, checks, and the demo district."""

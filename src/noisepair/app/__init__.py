"""The face: the only part that prints, parses, draws pages and picks a device."""

"""Questions as they are written, before any name is looked up."""

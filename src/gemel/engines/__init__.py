"""The engines: a file each, what they share, and connections to those that gemel can query."""

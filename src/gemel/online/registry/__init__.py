"""Feast's registry: what `feast apply` knows of the repository, and how far its views are online."""

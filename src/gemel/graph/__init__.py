"""Where a number comes from and where it goes: from source columns to whoever reads it, and back."""

"""The closed language of filters that anybody may write: its functions, its reading and its writing for an engine."""

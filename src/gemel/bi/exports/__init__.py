"""The definitions in other tools' formats. For what a format cannot say, a metric is refused; no number is bent."""

"""The proof: BI number = feature table = training set = online store."""

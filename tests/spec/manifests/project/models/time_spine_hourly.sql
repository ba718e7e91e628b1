select now() as hour

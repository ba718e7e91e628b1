select step as date_hour
from generate_series(timestamp '2012-12-31 00:00', timestamp '2014-01-31 23:00', interval '1 hour') as steps (step)

select step as date_minute
from generate_series(timestamp '2012-12-31 00:00', timestamp '2014-01-31 23:59', interval '1 minute') as steps (step)

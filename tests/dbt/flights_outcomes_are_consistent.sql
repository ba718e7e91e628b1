-- A flight is cancelled, or diverted, or arrives with a delay; and no outcome is known before its cause.
select *
from {{ ref('flights') }}
where
    is_cancelled::integer + is_diverted::integer + (arrival_delay is not null)::integer != 1
    or is_cancelled != (departed_at_utc is null)
    or (is_cancelled and (landed_at_utc is not null or outcome_known_at_utc != scheduled_departure_utc))
    or (not is_cancelled and outcome_known_at_utc != departed_at_utc)

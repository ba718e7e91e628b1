-- A company that lacks its spelling in makers would pass for a person.
select *
from {{ ref('makers') }}
where is_amateur and regexp_matches(manufacturer, '\b(INC|CORP|CO|LTD|CORPORATION|INDUSTRIE)\b')

-- A company that lacks its spelling in makers would pass for a person.
with words (word) as (

    values ('INC'), ('CORP'), ('CO'), ('LTD'), ('CORPORATION'), ('INDUSTRIE')

)

select makers.*
from {{ ref('makers') }} as makers
inner join words on ' ' || makers.manufacturer || ' ' like '% ' || words.word || ' %'
where makers.is_amateur

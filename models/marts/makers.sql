with planes as (

    select * from {{ ref('stg_planes') }}

),

-- The register spells one company in several ways; a person who built a plane at home is a maker too.
spellings (manufacturer, name, country) as (

    values
        ('AGUSTA SPA', 'Agusta', 'Italy'),
        ('AIRBUS', 'Airbus', 'France'),
        ('AIRBUS INDUSTRIE', 'Airbus', 'France'),
        ('AMERICAN AIRCRAFT INC', 'American Aircraft', 'United States'),
        ('AVIAT AIRCRAFT INC', 'Aviat', 'United States'),
        ('AVIONS MARCEL DASSAULT', 'Dassault', 'France'),
        ('BEECH', 'Beechcraft', 'United States'),
        ('BELL', 'Bell', 'United States'),
        ('BOEING', 'Boeing', 'United States'),
        ('BOMBARDIER INC', 'Bombardier', 'Canada'),
        ('CANADAIR', 'Canadair', 'Canada'),
        ('CANADAIR LTD', 'Canadair', 'Canada'),
        ('CESSNA', 'Cessna', 'United States'),
        ('CIRRUS DESIGN CORP', 'Cirrus', 'United States'),
        ('DEHAVILLAND', 'De Havilland Canada', 'Canada'),
        ('DOUGLAS', 'McDonnell Douglas', 'United States'),
        ('EMBRAER', 'Embraer', 'Brazil'),
        ('GULFSTREAM AEROSPACE', 'Gulfstream', 'United States'),
        ('LEARJET INC', 'Learjet', 'United States'),
        ('MCDONNELL DOUGLAS', 'McDonnell Douglas', 'United States'),
        ('MCDONNELL DOUGLAS AIRCRAFT CO', 'McDonnell Douglas', 'United States'),
        ('MCDONNELL DOUGLAS CORPORATION', 'McDonnell Douglas', 'United States'),
        ('PIPER', 'Piper', 'United States'),
        ('ROBINSON HELICOPTER CO', 'Robinson', 'United States'),
        ('SIKORSKY', 'Sikorsky', 'United States')

),

manufacturers as (

    select distinct manufacturer from planes

)

select
    manufacturers.manufacturer,
    coalesce(spellings.name, 'Amateur built') as name,
    coalesce(spellings.country, 'United States') as country,
    spellings.name is null as is_amateur
from manufacturers
left join spellings on manufacturers.manufacturer = spellings.manufacturer

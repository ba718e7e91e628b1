{{ config(alias='OrderFacts', schema='mart') }} select 1 as order_id

-- One row per alert-id twin: an investigation whose id is the triggering alert of a numeric investigation.
create or replace view staging.investigation_twins as
with pairs as (
    select
        twins.tenant,
        twins.id as twin_id,
        numeric_ones.id as investigation_id,
        row_number() over (
            partition by twins.tenant, twins.id
            order by numeric_ones.start_time nulls last, length(numeric_ones.id), numeric_ones.id
        ) as place
    from defender.investigations as twins
    inner join defender.investigations as numeric_ones
        on
            twins.tenant = numeric_ones.tenant
            and twins.id = numeric_ones.triggering_alert_id
    where
        regexp_matches(numeric_ones.id, '^[0-9]+$')
        and not regexp_matches(twins.id, '^[0-9]+$')
)

select
    tenant,
    twin_id,
    investigation_id
from pairs
where place = 1;

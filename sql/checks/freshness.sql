-- Passes when no resource's last success lies more than 24 hours before the tenant's last run.
-- Severity: warning
with successes as (
    select
        tenant,
        resource,
        max(case when status in ('succeeded', 'unavailable') then finished_at end) as last_success_at
    from staging.sync_runs
    group by tenant, resource
)

select
    successes.tenant,
    successes.resource,
    successes.last_success_at,
    as_of.as_of
from successes
inner join staging.as_of as as_of
    on successes.tenant = as_of.tenant
where
    successes.last_success_at is null
    or successes.last_success_at < as_of.as_of - interval '24 hours';

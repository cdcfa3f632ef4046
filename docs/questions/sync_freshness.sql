-- How fresh is each tenant, and did anything fail?
select
    tenant,
    resource,
    last_success_at,
    round(lag_seconds / 60) as minutes_behind,
    last_run_status,
    checks_failed,
    quarantined_count,
    last_run_error
from marts.sync_freshness
order by last_success_at nulls first

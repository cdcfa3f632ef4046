-- Passes when no machine action was updated or cancelled before it was asked for.
-- Severity: warning
select
    tenant,
    'machine_actions' as resource,
    id,
    creation_date_time_utc,
    last_update_date_time_utc,
    cancellation_date_time_utc
from staging.machine_actions
where
    last_update_date_time_utc < creation_date_time_utc
    or cancellation_date_time_utc < creation_date_time_utc;

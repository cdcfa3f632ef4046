-- Passes when no investigation ended before it started.
-- Severity: warning
select
    tenant,
    'investigations' as resource,
    id,
    start_time,
    end_time
from staging.investigations
where end_time < start_time;

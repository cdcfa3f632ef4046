-- Passes when every status of a machine action is a known one; a new one counts as open until it is listed.
-- Severity: warning
select
    tenant,
    'machine_actions' as resource,
    status as new_value,
    count(*) as row_count
from staging.machine_actions
where not is_known_status
group by tenant, status;

-- One row per tenant, machine action and observed version of it.
create or replace view staging.machine_action_versions as
select
    tenant,
    id,
    version,
    status,
    last_update_date_time_utc,
    observed_at
from defender.machine_action_versions;

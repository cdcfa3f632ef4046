-- One row per tenant, investigation and observed version of it.
create or replace view staging.investigation_versions as
select
    tenant,
    id,
    version,
    state,
    start_time,
    end_time,
    observed_at
from defender.investigation_versions;

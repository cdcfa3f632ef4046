-- One row per distinct bad record.
create or replace view staging.quarantine as
select
    tenant,
    resource,
    record_hash,
    reason,
    first_seen_at,
    last_seen_at
from defender.quarantine;

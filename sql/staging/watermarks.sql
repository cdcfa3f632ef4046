-- One row per tenant and resource: everything created before the watermark has been read.
create or replace view staging.watermarks as
select
    tenant,
    resource,
    watermark,
    scrubbed_until,
    updated_at
from defender.watermarks;

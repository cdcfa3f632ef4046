-- One row per tenant in the snapshot.
select distinct tenant
from marts.sync_freshness
order by tenant

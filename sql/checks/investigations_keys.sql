-- Passes when every investigation has a tenant and an id, and stands once.
select
    tenant,
    'investigations' as resource,
    id,
    count(*) as row_count
from staging.investigations
group by tenant, id
having count(*) > 1 or tenant is null or id is null;

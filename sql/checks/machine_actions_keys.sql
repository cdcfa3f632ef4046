-- Passes when every machine action has a tenant, an id and a creation time, and stands once.
select
    tenant,
    'machine_actions' as resource,
    id,
    count(*) as row_count
from staging.machine_actions
group by tenant, id
having count(*) > 1 or tenant is null or id is null or count(creation_date_time_utc) < count(*);

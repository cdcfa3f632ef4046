-- Passes when every version belongs to an investigation that is kept, and stands once.
select
    versions.tenant,
    'investigations' as resource,
    versions.id,
    versions.version,
    count(*) as row_count
from staging.investigation_versions as versions
left join staging.investigations as investigations
    on
        versions.tenant = investigations.tenant
        and versions.id = investigations.id
group by versions.tenant, versions.id, versions.version
having count(investigations.id) <> 1;

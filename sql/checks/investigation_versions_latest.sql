-- Passes when the latest version of every investigation tells the state that is kept.
with counted as (
    select
        tenant,
        id,
        max(version) as version
    from staging.investigation_versions
    group by tenant, id
)

select
    investigations.tenant,
    'investigations' as resource,
    investigations.id,
    investigations.state,
    versions.state as version_state
from staging.investigations as investigations
left join counted
    on
        investigations.tenant = counted.tenant
        and investigations.id = counted.id
left join staging.investigation_versions as versions
    on
        counted.tenant = versions.tenant
        and counted.id = versions.id
        and counted.version = versions.version
where versions.version is null or coalesce(investigations.state, '') <> coalesce(versions.state, '');

-- Passes when the latest version of every investigation tells the state that is kept.
-- Most have one version only: so the latest is looked for among later ones.
with later as (
    select
        tenant,
        id,
        max(version) as version
    from staging.investigation_versions
    where version > 1
    group by tenant, id
)

select
    investigations.tenant,
    'investigations' as resource,
    investigations.id,
    investigations.state,
    versions.state as version_state
from staging.investigations as investigations
left join later
    on
        investigations.tenant = later.tenant
        and investigations.id = later.id
left join staging.investigation_versions as versions
    on
        investigations.tenant = versions.tenant
        and investigations.id = versions.id
        and coalesce(later.version, 1) = versions.version
where versions.version is null or coalesce(investigations.state, '') <> coalesce(versions.state, '');

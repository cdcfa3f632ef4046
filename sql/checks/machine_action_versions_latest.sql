-- Passes when the latest version of every machine action tells the status that is kept.
-- Most have one version only: so the latest is looked for among later ones.
with later as (
    select
        tenant,
        id,
        max(version) as version
    from staging.machine_action_versions
    where version > 1
    group by tenant, id
)

select
    actions.tenant,
    'machine_actions' as resource,
    actions.id,
    actions.status,
    versions.status as version_status
from staging.machine_actions as actions
left join later
    on
        actions.tenant = later.tenant
        and actions.id = later.id
left join staging.machine_action_versions as versions
    on
        actions.tenant = versions.tenant
        and actions.id = versions.id
        and coalesce(later.version, 1) = versions.version
where versions.version is null or coalesce(actions.status, '') <> coalesce(versions.status, '');

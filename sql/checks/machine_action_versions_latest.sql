-- Passes when the latest version of every machine action tells the status that is kept.
with counted as (
    select
        tenant,
        id,
        max(version) as version
    from staging.machine_action_versions
    group by tenant, id
)

select
    actions.tenant,
    'machine_actions' as resource,
    actions.id,
    actions.status,
    versions.status as version_status
from staging.machine_actions as actions
left join counted
    on
        actions.tenant = counted.tenant
        and actions.id = counted.id
left join staging.machine_action_versions as versions
    on
        counted.tenant = versions.tenant
        and counted.id = versions.id
        and counted.version = versions.version
where versions.version is null or coalesce(actions.status, '') <> coalesce(versions.status, '');

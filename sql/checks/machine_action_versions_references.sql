-- Passes when the versions of each machine action count 1, 2, … and belong to an action that is kept.
with counted as (
    select
        tenant,
        id,
        count(*) as version_count,
        min(version) as first_version,
        max(version) as last_version
    from staging.machine_action_versions
    group by tenant, id
)

select
    counted.tenant,
    'machine_actions' as resource,
    counted.id,
    counted.version_count,
    counted.last_version
from counted
left join staging.machine_actions as actions
    on
        counted.tenant = actions.tenant
        and counted.id = actions.id
where
    actions.id is null
    or counted.first_version <> 1
    or counted.version_count <> counted.last_version;

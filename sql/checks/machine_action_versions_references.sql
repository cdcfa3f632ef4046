-- Passes when every version belongs to a machine action that is kept, and stands once.
select
    versions.tenant,
    'machine_actions' as resource,
    versions.id,
    versions.version,
    count(*) as row_count
from staging.machine_action_versions as versions
left join staging.machine_actions as actions
    on
        versions.tenant = actions.tenant
        and versions.id = actions.id
group by versions.tenant, versions.id, versions.version
having count(actions.id) <> 1;

-- Passes when every type of a machine action is a known one; a new one counts as 'other' until listed.
-- Severity: warning
select
    actions.tenant,
    'machine_actions' as resource,
    actions.type as new_value,
    count(*) as row_count
from staging.machine_actions as actions
left join staging.action_types as types
    on actions.type = types.action_type
where types.action_type is null
group by actions.tenant, actions.type;

-- A later `as_of` for the published actions, whose content is as it was; and when they were last read.
update snapshot.marts.machine_actions
set
    as_of = as_of.as_of,
    age_seconds = case
        when machine_actions.created_at > as_of.as_of then 0
        else epoch(as_of.as_of) - epoch(machine_actions.created_at)
    end
from _differences.as_of as as_of
where machine_actions.tenant = as_of.tenant;

update snapshot.marts.machine_actions
set
    is_overdue = coalesce(machine_actions.age_seconds > families.overdue_after_seconds, false),
    is_stuck = coalesce(machine_actions.age_seconds > 262800, false)
from staging.action_families as families
where
    machine_actions.is_open
    and not machine_actions.is_gone
    and machine_actions.family = families.family;

update snapshot.marts.machine_actions
set synced_at = touched.synced_at
from _differences.touched_machine_actions as touched
where
    machine_actions.tenant = touched.tenant
    and machine_actions.machine_action_id = touched.id;

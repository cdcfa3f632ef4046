-- What a later `as_of` moves in the actions, whose content is as it was; and when they were last read.
update former
set
    as_of = _differences.as_of_tenant(former.tenant),
    age_seconds = _differences.seconds_since(former.created_at, former.tenant),
    is_overdue = former.is_open
    and not former.is_gone
    and coalesce(
        _differences.seconds_since(former.created_at, former.tenant) > (
            select families.overdue_after_seconds from staging.action_families as families
            where families.family = former.family
        ),
        false
    ),
    is_stuck = former.is_open
    and not former.is_gone
    and coalesce(_differences.seconds_since(former.created_at, former.tenant) > 262800, false),
    synced_at = coalesce(
        (
            select touched.synced_at from _differences.touched_machine_actions as touched
            where touched.tenant = former.tenant and touched.id = former.machine_action_id
        ),
        former.synced_at
    );

-- One row per command, the latest first; those that contain the text.
select
    tenant,
    requested_at,
    machine_id,
    machine_name,
    command_type,
    coalesce(script_name, path) as target,
    arguments,
    command_status,
    errors,
    duration_seconds,
    requested_by,
    comment,
    action_outcome,
    machine_action_id,
    command_index,
    portal_url
from marts.live_response_commands
where
    requested_at >= $since
    and requested_at < $until
    and list_contains($tenants, tenant)
    and contains(
        lower(
            concat_ws(
                ' ',
                machine_name,
                machine_id,
                command_type,
                script_name,
                path,
                arguments,
                requested_by,
                errors
            )
        ),
        lower($text)
    )
order by requested_at desc, tenant, machine_action_id, command_index

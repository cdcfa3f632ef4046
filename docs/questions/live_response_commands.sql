-- Which scripts ran where in the last 30 days, and which failed?
select
    requested_at,
    machine_name,
    command_type,
    coalesce(script_name, path) as script_or_path,
    arguments,
    command_status,
    errors,
    requested_by
from marts.live_response_commands
where requested_at > as_of - interval '30 days'
order by requested_at desc

-- One row per script, or kind of file transfer, the most used first.
select
    command_type,
    script_name,
    count(*) as commands,
    count(*) filter (where error_count > 0 or command_status = 'Failed') as failed,
    count(distinct tenant || ' ' || machine_id) as machines,
    count(distinct requested_by) as people,
    median(duration_seconds) as median_seconds,
    max(requested_at) as last_at
from marts.live_response_commands
where requested_at >= $since and requested_at < $until and list_contains($tenants, tenant)
group by command_type, script_name
order by commands desc, command_type, script_name

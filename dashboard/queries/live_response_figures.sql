-- One row: the live response of the period.
select
    count(*) as commands,
    count(distinct machine_action_id) as sessions,
    count(distinct tenant || ' ' || machine_id) as machines,
    count(distinct script_name) as scripts,
    count(distinct requested_by) as people,
    count(*) filter (where error_count > 0 or command_status = 'Failed') as failed
from marts.live_response_commands
where requested_at >= $since and requested_at < $until and list_contains($tenants, tenant)

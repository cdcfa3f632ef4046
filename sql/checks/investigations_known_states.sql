-- Passes when every part of an investigation's state is a known one; a new one counts as open until listed.
-- Severity: warning
select
    investigations.tenant,
    'investigations' as resource,
    parts.part as new_value,
    count(*) as row_count
from staging.investigations as investigations
left join staging.investigation_state_parts as parts
    on investigations.state = parts.state
where not coalesce(parts.is_known, false)
group by investigations.tenant, parts.part;

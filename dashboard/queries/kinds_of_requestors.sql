-- One row: how much people, applications and automation asked for.
select
    count(*) as actions,
    count(*) filter (where requested_by_kind = 'person') as by_people,
    count(*) filter (where requested_by_kind = 'application') as by_applications,
    count(*) filter (where requested_by_kind = 'automation') as by_automation,
    count(*) filter (where requested_by_kind is null) as by_nobody_told,
    count(distinct requested_by) filter (where requested_by_kind = 'person') as people
from marts.machine_actions
where created_at >= $since and created_at < $until and list_contains($tenants, tenant)

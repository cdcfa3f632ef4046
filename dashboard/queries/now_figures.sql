-- One row: what stands now.
with containment as (
    select
        count(*) filter (where is_isolated) as isolated,
        max(seconds_isolated) as longest_seconds,
        count(*) filter (where is_isolate_pending) as isolate_pending,
        count(*) filter (where is_release_pending) as release_pending,
        count(*) filter (where isolation_state = 'unknown') as undecided,
        count(*) filter (where isolation_state = 'no_evidence') as without_evidence
    from marts.machine_containment
    where list_contains($tenants, tenant)
),

attention as (
    select
        count(*) as attention,
        count(*) filter (where severity = 'critical') as critical,
        count(*) filter (where severity = 'high') as high
    from marts.needs_attention
    where list_contains($tenants, tenant)
),

actions as (
    select
        count(*) as open_actions,
        count(*) filter (where is_overdue) as overdue,
        count(*) filter (where is_stuck) as stuck
    from marts.machine_actions
    where is_open and not is_gone and list_contains($tenants, tenant)
),

investigations as (
    select
        count(*) as open_investigations,
        count(*) filter (where is_pending_approval) as pending_approval
    from marts.investigations
    where is_open and not is_gone and list_contains($tenants, tenant)
)

select
    containment.isolated,
    containment.longest_seconds,
    containment.isolate_pending,
    containment.release_pending,
    containment.undecided,
    containment.without_evidence,
    attention.attention,
    attention.critical,
    attention.high,
    actions.open_actions,
    actions.overdue,
    actions.stuck,
    investigations.open_investigations,
    investigations.pending_approval
from containment
cross join attention
cross join actions
cross join investigations

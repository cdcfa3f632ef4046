-- One row per tenant, machine, family and reason.
create or replace view marts.needs_attention as
with failures_and_open as (
    select
        tenant,
        machine_action_id,
        machine_id,
        machine_name,
        action_type,
        family,
        status,
        outcome in ('failed', 'timed_out') as has_failed,
        is_overdue,
        is_stuck,
        requested_by,
        comment,
        created_at,
        coalesce(ended_at, last_updated_at, created_at) as ended_at,
        as_of
    from marts.machine_actions
    where not is_gone and (is_open or outcome in ('failed', 'timed_out'))
),

candidates as (
    select
        tenant,
        machine_action_id,
        machine_id,
        machine_name,
        action_type,
        family,
        status,
        requested_by,
        comment,
        created_at,
        ended_at,
        as_of,
        case
            when has_failed and action_type = 'Isolate' then 'containment_failed'
            when has_failed and action_type = 'Unisolate' then 'release_failed'
            when is_stuck then 'stuck'
            when is_overdue then 'overdue'
            when has_failed and ended_at >= as_of - interval '168 hours' then 'other_failure'
        end as reason
    from failures_and_open
),

candidate_families as (
    select distinct
        tenant,
        machine_id,
        family
    from candidates
    where reason is not null
),

-- A success of the same type that came after the failure settles it, also one that was asked for earlier.
-- One that says by now that it failed settles nothing, itself included.
type_successes as (
    select
        actions.tenant,
        actions.machine_id,
        actions.family,
        actions.action_type,
        max(actions.created_at) as created_at,
        max(actions.effective_at) as effective_at
    from marts.machine_actions as actions
    inner join candidate_families
        on
            actions.tenant = candidate_families.tenant
            and actions.machine_id = candidate_families.machine_id
            and actions.family = candidate_families.family
    where actions.effective_at is not null and actions.outcome not in ('failed', 'timed_out')
    group by actions.tenant, actions.machine_id, actions.family, actions.action_type
),

-- So does any success of the family that was asked for later, whichever of the two was done first. But a
-- release asked for earlier that comes through after a failed isolation settles nothing: the machine is free.
family_successes as (
    select
        tenant,
        machine_id,
        family,
        max(created_at) as created_at
    from type_successes
    group by tenant, machine_id, family
),

unsettled as (
    select
        candidates.tenant,
        candidates.machine_action_id,
        cast(null as varchar) as investigation_id,
        candidates.machine_id,
        candidates.machine_name,
        coalesce(candidates.machine_id, candidates.machine_action_id) as subject_id,
        candidates.family,
        candidates.reason,
        candidates.action_type,
        candidates.status,
        candidates.requested_by,
        candidates.comment,
        case
            when candidates.reason in ('stuck', 'overdue') then candidates.created_at
            else candidates.ended_at
        end as since,
        candidates.created_at,
        candidates.as_of
    from candidates
    left join family_successes
        on
            candidates.tenant = family_successes.tenant
            and candidates.machine_id = family_successes.machine_id
            and candidates.family = family_successes.family
    left join type_successes
        on
            candidates.tenant = type_successes.tenant
            and candidates.machine_id = type_successes.machine_id
            and candidates.family = type_successes.family
            and candidates.action_type = type_successes.action_type
    where
        candidates.reason is not null
        and not coalesce(family_successes.created_at > candidates.created_at, false)
        and not (
            candidates.reason not in ('stuck', 'overdue')
            and coalesce(type_successes.effective_at > candidates.ended_at, false)
        )
),

long_isolated as (
    select
        containment.tenant,
        containment.evidence_action_id as machine_action_id,
        cast(null as varchar) as investigation_id,
        containment.machine_id,
        containment.machine_name,
        containment.machine_id as subject_id,
        'isolation' as family,
        'isolated_over_7_days' as reason,
        'Isolate' as action_type,
        evidence.status,
        containment."by" as requested_by,
        containment.comment,
        containment.since,
        containment.since as created_at,
        containment.as_of
    from marts.machine_containment as containment
    left join marts.machine_actions as evidence
        on
            containment.tenant = evidence.tenant
            and containment.evidence_action_id = evidence.machine_action_id
    where containment.is_isolated and containment.seconds_isolated > 604800
),

awaiting_approval as (
    select
        investigations.tenant,
        cast(null as varchar) as machine_action_id,
        investigations.investigation_id,
        investigations.machine_id,
        investigations.machine_name,
        coalesce(investigations.machine_id, investigations.investigation_id) as subject_id,
        'investigation' as family,
        'investigation_pending_approval' as reason,
        cast(null as varchar) as action_type,
        investigations.state as status,
        cast(null as varchar) as requested_by,
        investigations.status_details as comment,
        investigations.started_at as since,
        investigations.started_at as created_at,
        investigations.as_of
    from marts.investigations as investigations
    where investigations.is_pending_approval and not investigations.is_gone
),

found as (
    select * from unsettled
    union all
    select * from long_isolated
    union all
    select * from awaiting_approval
),

ordered as (
    select
        tenant,
        machine_action_id,
        investigation_id,
        machine_id,
        machine_name,
        family,
        reason,
        action_type,
        status,
        requested_by,
        comment,
        as_of,
        min(since) over (partition by tenant, subject_id, family, reason) as since,
        count(*) over (partition by tenant, subject_id, family, reason) as occurrences,
        row_number() over (
            partition by tenant, subject_id, family, reason
            order by created_at desc nulls last, machine_action_id desc, investigation_id desc
        ) as place
    from found
)

select
    ordered.tenant,
    ordered.machine_id,
    ordered.machine_name,
    ordered.family,
    ordered.reason,
    reasons.severity,
    reasons.severity_rank,
    ordered.since,
    case
        when ordered.since > ordered.as_of then 0
        else epoch(ordered.as_of) - epoch(ordered.since)
    end as seconds_since,
    ordered.occurrences,
    ordered.machine_action_id,
    ordered.investigation_id,
    ordered.action_type,
    ordered.status,
    ordered.requested_by,
    ordered.comment,
    case
        when regexp_matches(ordered.machine_id, '^[0-9A-Za-z_-]+$')
            then 'https://security.microsoft.com/machines/' || ordered.machine_id
    end as portal_url,
    ordered.as_of
from ordered
inner join staging.attention_reasons as reasons
    on ordered.reason = reasons.reason
where ordered.place = 1;

comment on view marts.needs_attention is 'What somebody should look at, most severe first by severity_rank. Not what a later success of the same family on that machine has settled, nor what was cancelled or is gone.';
comment on column marts.needs_attention.tenant is 'Name of the tenant in the configuration.';
comment on column marts.needs_attention.machine_id is 'The machine; null for an action or investigation that names none, which then stands by itself.';
comment on column marts.needs_attention.machine_name is 'DNS name of the machine.';
comment on column marts.needs_attention.family is 'Family of the action, or investigation.';
comment on column marts.needs_attention.reason is 'containment_failed (failed or timed out), release_failed, isolated_over_7_days, stuck, overdue, investigation_pending_approval or other_failure (of the last 7 days). A stuck action is not reported as overdue too.';
comment on column marts.needs_attention.severity is 'critical, high, medium or low.';
comment on column marts.needs_attention.severity_rank is '1 is the most severe.';
comment on column marts.needs_attention.since is 'Since when: the first of these failures, the request of the oldest open action, the start of the isolation or investigation.';
comment on column marts.needs_attention.seconds_since is 'Seconds from since to as_of.';
comment on column marts.needs_attention.occurrences is 'Actions or investigations that this row stands for.';
comment on column marts.needs_attention.machine_action_id is 'The latest of the actions.';
comment on column marts.needs_attention.investigation_id is 'The latest of the investigations.';
comment on column marts.needs_attention.action_type is 'Type of that action.';
comment on column marts.needs_attention.status is 'Status of that action, state of that investigation.';
comment on column marts.needs_attention.requested_by is 'Who asked for that action.';
comment on column marts.needs_attention.comment is 'Comment on that action; status details of that investigation.';
comment on column marts.needs_attention.portal_url is 'Page of the machine in the commercial portal. Not tried in a live tenant.';
comment on column marts.needs_attention.as_of is 'The end of the tenant''s last sync that succeeded, at least in part.';

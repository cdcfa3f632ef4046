-- One row per tenant and machine that any isolation, restriction, containment or offboarding was asked for.
create or replace view marts.machine_containment as
with requests as (
    select
        actions.tenant,
        actions.machine_action_id as id,
        actions.machine_id,
        actions.machine_name,
        actions.scope,
        actions.family,
        actions.requested_by,
        actions.requested_by_kind,
        actions.comment,
        actions.created_at,
        actions.is_open and not actions.is_gone as is_pending,
        actions.effective_at,
        -- Until when it can have taken effect unseen: gone while open, in a status that is not known, or done
        -- at a time that is not known. The service itself gives up on an open action after about 73 hours,
        -- and a status that is not known may be an end.
        case
            when actions.effective_at is not null then actions.effective_by
            when actions.is_open and actions.is_gone
                then least(actions.gone_at, actions.created_at + interval '73 hours')
            when statuses.status is null
                then greatest(actions.created_at + interval '73 hours', actions.last_updated_at)
        end as effective_by,
        case
            when actions.action_type in ('Isolate', 'RestrictCodeExecution') then 'on'
            when actions.action_type in ('Unisolate', 'UnrestrictCodeExecution') then 'off'
            else 'offboarded'
        end as target
    from marts.machine_actions as actions
    left join staging.machine_action_statuses as statuses
        on actions.status = statuses.status
    where
        actions.machine_id is not null
        and actions.family in ('isolation', 'unmanaged_containment', 'app_restriction', 'offboarding')
),

-- An offboarding bears on every family: nobody sees the machine after it.
family_requests as (
    select
        tenant,
        machine_id,
        family as decided_family,
        id,
        scope,
        requested_by,
        requested_by_kind,
        comment,
        created_at,
        effective_at,
        effective_by,
        target
    from requests
    union all
    select
        requests.tenant,
        requests.machine_id,
        families.family as decided_family,
        requests.id,
        requests.scope,
        requests.requested_by,
        requests.requested_by_kind,
        requests.comment,
        requests.created_at,
        requests.effective_at,
        requests.effective_by,
        requests.target
    from requests
    inner join staging.action_families as families
        on families.family in ('isolation', 'unmanaged_containment', 'app_restriction')
    where requests.family = 'offboarding'
),

effects as (
    select
        tenant,
        machine_id,
        decided_family,
        id,
        scope,
        requested_by,
        requested_by_kind,
        comment,
        created_at,
        effective_at,
        target,
        row_number() over (
            partition by tenant, machine_id, decided_family
            order by effective_at desc, created_at desc, id desc
        ) as place
    from family_requests
    where effective_at is not null
),

last_effects as (
    select
        tenant,
        machine_id,
        decided_family,
        id,
        scope,
        requested_by,
        requested_by_kind,
        comment,
        created_at,
        effective_at,
        target
    from effects
    where place = 1
),

-- What may have turned the state since, but nobody saw it.
doubts as (
    select
        last_effects.tenant,
        last_effects.machine_id,
        last_effects.decided_family,
        min(family_requests.id) as doubt_id
    from last_effects
    inner join family_requests
        on
            last_effects.tenant = family_requests.tenant
            and last_effects.machine_id = family_requests.machine_id
            and last_effects.decided_family = family_requests.decided_family
            and last_effects.target <> family_requests.target
            and (
                last_effects.effective_at < family_requests.effective_by
                or (
                    last_effects.effective_at = family_requests.effective_by
                    and last_effects.created_at = family_requests.created_at
                )
            )
    group by last_effects.tenant, last_effects.machine_id, last_effects.decided_family
),

other_ends as (
    select
        effects.tenant,
        effects.machine_id,
        effects.decided_family,
        max(effects.effective_at) as effective_at
    from effects
    inner join last_effects
        on
            effects.tenant = last_effects.tenant
            and effects.machine_id = last_effects.machine_id
            and effects.decided_family = last_effects.decided_family
            and effects.target <> last_effects.target
    group by effects.tenant, effects.machine_id, effects.decided_family
),

-- The state began with the first effect of the same kind after the last one of another kind.
begins as (
    select
        effects.tenant,
        effects.machine_id,
        effects.decided_family,
        min(effects.effective_at) as since
    from effects
    inner join last_effects
        on
            effects.tenant = last_effects.tenant
            and effects.machine_id = last_effects.machine_id
            and effects.decided_family = last_effects.decided_family
            and effects.target = last_effects.target
    left join other_ends
        on
            effects.tenant = other_ends.tenant
            and effects.machine_id = other_ends.machine_id
            and effects.decided_family = other_ends.decided_family
    where other_ends.effective_at is null or effects.effective_at >= other_ends.effective_at
    group by effects.tenant, effects.machine_id, effects.decided_family
),

states as (
    select
        last_effects.tenant,
        last_effects.machine_id,
        last_effects.decided_family,
        last_effects.id,
        last_effects.scope,
        last_effects.requested_by,
        last_effects.requested_by_kind,
        last_effects.comment,
        last_effects.target,
        doubts.doubt_id,
        begins.since,
        case
            when doubts.doubt_id is null and last_effects.target = 'on' then true
            when doubts.doubt_id is null and last_effects.target = 'off' then false
        end as is_on
    from last_effects
    left join doubts
        on
            last_effects.tenant = doubts.tenant
            and last_effects.machine_id = doubts.machine_id
            and last_effects.decided_family = doubts.decided_family
    left join begins
        on
            last_effects.tenant = begins.tenant
            and last_effects.machine_id = begins.machine_id
            and last_effects.decided_family = begins.decided_family
),

-- A machine that did what it was asked after an offboarding is on board.
later_effects as (
    select
        tenant,
        machine_id,
        max(created_at) as created_at
    from marts.machine_actions
    where effective_at is not null and family <> 'offboarding'
    group by tenant, machine_id
),

names as (
    select
        tenant,
        machine_id,
        machine_name,
        row_number() over (
            partition by tenant, machine_id
            order by created_at desc, id desc
        ) as place
    from requests
    where machine_name is not null
),

machines as (
    select
        tenant,
        machine_id,
        bool_or(is_pending and family = 'isolation' and target = 'on') as is_isolate_pending,
        bool_or(is_pending and family = 'isolation' and target = 'off') as is_release_pending,
        bool_or(is_pending and target = 'offboarded') as is_offboard_pending,
        max(case when target = 'offboarded' then effective_at end) as offboarded_at
    from requests
    group by tenant, machine_id
)

select
    machines.tenant,
    machines.machine_id,
    names.machine_name,
    case
        when isolation.id is null then 'no_evidence'
        when isolation.is_on then 'isolated'
        when not isolation.is_on then 'released'
        else 'unknown'
    end as isolation_state,
    isolation.is_on as is_isolated,
    case
        when isolation.id is null then 'nothing took effect since known_since'
        when isolation.target = 'offboarded' then 'offboarded'
        when isolation.doubt_id is not null then 'a later or simultaneous action was not seen to its end'
        when isolation.is_on then 'an isolation took effect last'
        else 'a release took effect last'
    end as isolation_reason,
    case when isolation.is_on then lower(isolation.scope) end as isolation_mode,
    restriction.is_on as is_restricted,
    unmanaged.is_on as is_unmanaged_contained,
    case
        when machines.offboarded_at is not null
            then later_effects.created_at is null or later_effects.created_at <= machines.offboarded_at
        when later_effects.created_at is not null then false
    end as is_offboarded,
    machines.is_isolate_pending,
    machines.is_release_pending,
    machines.is_offboard_pending,
    isolation.since,
    case
        when not coalesce(isolation.is_on, false) then null
        when isolation.since > as_of.as_of then 0
        else epoch(as_of.as_of) - epoch(isolation.since)
    end as seconds_isolated,
    isolation.requested_by as "by",
    isolation.requested_by_kind as by_kind,
    isolation.comment,
    isolation.id as evidence_action_id,
    isolation.doubt_id as doubtful_action_id,
    restriction.since as restriction_since,
    restriction.id as restriction_evidence_action_id,
    machines.offboarded_at,
    coverage.known_since,
    case
        when regexp_matches(machines.machine_id, '^[0-9A-Za-z_-]+$')
            then 'https://security.microsoft.com/machines/' || machines.machine_id
    end as portal_url,
    as_of.as_of
from machines
left join states as isolation
    on
        machines.tenant = isolation.tenant
        and machines.machine_id = isolation.machine_id
        and isolation.decided_family = 'isolation'
left join states as restriction
    on
        machines.tenant = restriction.tenant
        and machines.machine_id = restriction.machine_id
        and restriction.decided_family = 'app_restriction'
left join states as unmanaged
    on
        machines.tenant = unmanaged.tenant
        and machines.machine_id = unmanaged.machine_id
        and unmanaged.decided_family = 'unmanaged_containment'
left join names
    on
        machines.tenant = names.tenant
        and machines.machine_id = names.machine_id
        and names.place = 1
left join later_effects
    on
        machines.tenant = later_effects.tenant
        and machines.machine_id = later_effects.machine_id
left join staging.coverage as coverage
    on machines.tenant = coverage.tenant
left join staging.as_of as as_of
    on machines.tenant = as_of.tenant;

comment on view marts.machine_containment is 'Which machines are isolated or restricted now. Decided by what took effect last, not by what was asked for last. Where the data does not decide, is_isolated is null and isolation_reason says why: null does not mean free.';
comment on column marts.machine_containment.tenant is 'Name of the tenant in the configuration.';
comment on column marts.machine_containment.machine_id is 'Id of the machine; a machine onboarded again under a new id is another machine here.';
comment on column marts.machine_containment.machine_name is 'DNS name of the machine, as the latest of these actions tells it.';
comment on column marts.machine_containment.isolation_state is 'isolated, released, unknown (offboarded, or an action whose end nobody saw may have turned it) or no_evidence (nothing took effect since known_since, so it may be isolated from before).';
comment on column marts.machine_containment.is_isolated is 'True or false as the last effect tells; null when unknown or without evidence.';
comment on column marts.machine_containment.isolation_reason is 'Why isolation_state is what it is, in words.';
comment on column marts.machine_containment.isolation_mode is 'full or selective while isolated, by the isolation that took effect last; null when the API told no scope.';
comment on column marts.machine_containment.is_restricted is 'True while app execution is restricted; null when unknown or without evidence.';
comment on column marts.machine_containment.is_unmanaged_contained is 'True while contained as an unmanaged device; null when unknown or without evidence.';
comment on column marts.machine_containment.is_offboarded is 'True after an offboarding took effect, false once the machine did something that was asked for later; null when nothing at all took effect.';
comment on column marts.machine_containment.is_isolate_pending is 'True while an isolation that was asked for is open.';
comment on column marts.machine_containment.is_release_pending is 'True while a release from isolation is open.';
comment on column marts.machine_containment.is_offboard_pending is 'True while an offboarding is open.';
comment on column marts.machine_containment.since is 'When the present state began: the first isolation after the last release or offboarding, or the first release after the last isolation, or the offboarding.';
comment on column marts.machine_containment.seconds_isolated is 'Seconds from since to as_of while isolated.';
comment on column marts.machine_containment."by" is 'Who asked for the action that took effect last.';
comment on column marts.machine_containment.by_kind is 'person, application or automation.';
comment on column marts.machine_containment.comment is 'Comment on the action that took effect last.';
comment on column marts.machine_containment.evidence_action_id is 'The action that took effect last.';
comment on column marts.machine_containment.doubtful_action_id is 'An action that may have turned the state unseen; null when there is none.';
comment on column marts.machine_containment.restriction_since is 'When the present state of app restriction began.';
comment on column marts.machine_containment.restriction_evidence_action_id is 'The action that took effect last on app restriction.';
comment on column marts.machine_containment.offboarded_at is 'When the last offboarding took effect.';
comment on column marts.machine_containment.known_since is 'Since when the tenant''s actions are covered; what took effect before is not known.';
comment on column marts.machine_containment.portal_url is 'Page of the machine in the commercial portal. Not tried in a live tenant.';
comment on column marts.machine_containment.as_of is 'The end of the tenant''s last sync that succeeded, at least in part: the moment this row speaks of.';

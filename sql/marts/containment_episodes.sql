-- One row per tenant, machine and isolation of it, from the first request to the release.
create or replace view marts.containment_episodes as
with requests as (
    select
        tenant,
        machine_id,
        machine_name,
        machine_action_id as id,
        action_type = 'Isolate' as is_isolate,
        requested_by,
        requested_by_kind,
        comment,
        outcome,
        created_at,
        effective_at,
        -- Where it stands among the effects: an open request after all of them, one that came to nothing
        -- where it was asked for.
        case
            when effective_at is not null then effective_at
            when is_open and not is_gone then timestamptz '9999-12-31 00:00:00+00'
            else created_at
        end as placed_at,
        -- Until when another request belongs to the same attempt, if no release comes between.
        case
            when effective_at is not null or (is_open and not is_gone)
                then timestamptz '9999-12-31 00:00:00+00'
            else greatest(created_at + interval '24 hours', coalesce(ended_at, created_at))
        end as covers_until
    from marts.machine_actions
    where machine_id is not null and family = 'isolation'
),

-- Each release that took effect closes a segment.
segmented as (
    select
        tenant,
        machine_id,
        machine_name,
        id,
        is_isolate,
        requested_by,
        requested_by_kind,
        comment,
        outcome,
        created_at,
        effective_at,
        covers_until,
        not is_isolate and effective_at is not null as is_release,
        sum(case when not is_isolate and effective_at is not null then 1 else 0 end) over (
            partition by tenant, machine_id
            order by placed_at, created_at, id
            rows between unbounded preceding and current row
        ) as segment
    from requests
),

releases as (
    select
        tenant,
        machine_id,
        id,
        requested_by,
        created_at,
        effective_at,
        segment - 1 as segment
    from segmented
    where is_release
),

-- Effects before a request of the same moment.
release_moments as (
    select
        tenant,
        machine_id,
        effective_at as moment_at,
        1 as moment_order,
        1 as releases_done,
        cast(null as timestamptz) as created_at,
        cast(null as bigint) as closed_segment
    from segmented
    where is_release
    union all
    select
        tenant,
        machine_id,
        created_at as moment_at,
        2 as moment_order,
        0 as releases_done,
        created_at,
        case when is_release then cast(segment - 1 as bigint) end as closed_segment
    from segmented
    where not is_isolate
),

release_asks as (
    select
        tenant,
        machine_id,
        created_at,
        closed_segment,
        sum(releases_done) over (
            partition by tenant, machine_id
            order by moment_at, moment_order
            rows between unbounded preceding and current row
        ) as segment
    from release_moments
),

-- A request to release belongs to the segment in which it was asked for, whatever came of it and when. The
-- one that took effect belongs to the segment that it closes, also where it was asked for before.
release_requests as (
    select
        tenant,
        machine_id,
        segment,
        created_at,
        false as is_release
    from release_asks
    where created_at is not null and (closed_segment is null or closed_segment >= segment)
    union all
    select
        tenant,
        machine_id,
        segment,
        created_at,
        true as is_release
    from releases
),

covered as (
    select
        tenant,
        machine_id,
        machine_name,
        id,
        requested_by,
        requested_by_kind,
        comment,
        outcome,
        created_at,
        effective_at,
        segment,
        max(covers_until) over (
            partition by tenant, machine_id, segment
            order by created_at, id
            rows between unbounded preceding and 1 preceding
        ) as covered_until
    from segmented
    where is_isolate
),

numbered as (
    select
        tenant,
        machine_id,
        machine_name,
        id,
        requested_by,
        requested_by_kind,
        comment,
        outcome,
        created_at,
        effective_at,
        segment,
        sum(case when covered_until is null or created_at > covered_until then 1 else 0 end) over (
            partition by tenant, machine_id, segment
            order by created_at, id
            rows between unbounded preceding and current row
        ) as attempt_group
    from covered
),

placed as (
    select
        tenant,
        machine_id,
        machine_name,
        id,
        requested_by,
        requested_by_kind,
        comment,
        outcome,
        created_at,
        effective_at,
        segment,
        attempt_group,
        row_number() over (
            partition by tenant, machine_id, segment, attempt_group
            order by created_at, id
        ) as place,
        row_number() over (
            partition by tenant, machine_id, segment, attempt_group
            order by effective_at nulls last, created_at, id
        ) as effect_place
    from numbered
),

episodes as (
    select
        tenant,
        machine_id,
        segment,
        attempt_group,
        max(machine_name) as machine_name,
        min(created_at) as requested_at,
        min(effective_at) as contained_at,
        count(*) as attempts,
        bool_or(outcome = 'pending') as has_pending,
        bool_or(outcome = 'unknown') as has_unknown,
        max(case when place = 1 then id end) as first_action_id,
        max(case when place = 1 then requested_by end) as requested_by,
        max(case when place = 1 then requested_by_kind end) as requested_by_kind,
        max(case when place = 1 then comment end) as comment,
        max(case when effect_place = 1 and effective_at is not null then id end) as containing_action_id
    from placed
    group by tenant, machine_id, segment, attempt_group
),

-- Only the last attempts of a segment can have been contained, and so be released.
released as (
    select
        episodes.tenant,
        episodes.machine_id,
        episodes.segment,
        episodes.attempt_group,
        min(release_requests.created_at) as release_requested_at
    from episodes
    inner join release_requests
        on
            episodes.tenant = release_requests.tenant
            and episodes.machine_id = release_requests.machine_id
            and episodes.segment = release_requests.segment
            and (release_requests.is_release or episodes.requested_at <= release_requests.created_at)
    where episodes.contained_at is not null
    group by episodes.tenant, episodes.machine_id, episodes.segment, episodes.attempt_group
),

decided as (
    select
        episodes.tenant,
        episodes.machine_id,
        episodes.machine_name,
        episodes.requested_at,
        episodes.contained_at,
        released.release_requested_at,
        releases.effective_at as released_at,
        episodes.attempts,
        case
            when releases.effective_at is not null then 'released'
            when episodes.contained_at is not null then 'contained'
            when episodes.has_pending or episodes.has_unknown then 'pending'
            else 'never_contained'
        end as outcome,
        case
            when releases.effective_at is not null then false
            when episodes.contained_at is not null then not coalesce(containment.is_isolated, false)
            else episodes.has_unknown and not episodes.has_pending
        end as is_in_doubt,
        episodes.first_action_id,
        episodes.containing_action_id,
        releases.id as release_action_id,
        episodes.requested_by,
        episodes.requested_by_kind,
        episodes.comment,
        releases.requested_by as released_by,
        containment.as_of
    from episodes
    left join released
        on
            episodes.tenant = released.tenant
            and episodes.machine_id = released.machine_id
            and episodes.segment = released.segment
            and episodes.attempt_group = released.attempt_group
    left join releases
        on
            episodes.tenant = releases.tenant
            and episodes.machine_id = releases.machine_id
            and episodes.segment = releases.segment
            and episodes.contained_at is not null
    left join marts.machine_containment as containment
        on
            episodes.tenant = containment.tenant
            and episodes.machine_id = containment.machine_id
)

select
    decided.tenant,
    decided.machine_id,
    decided.machine_name,
    decided.requested_at,
    decided.contained_at,
    decided.release_requested_at,
    decided.released_at,
    epoch(decided.contained_at) - epoch(decided.requested_at) as seconds_to_contain,
    case
        when decided.outcome = 'released' then epoch(decided.released_at) - epoch(decided.contained_at)
        when decided.outcome <> 'contained' or decided.is_in_doubt then null
        when decided.contained_at > decided.as_of then 0
        else epoch(decided.as_of) - epoch(decided.contained_at)
    end as seconds_contained,
    epoch(decided.released_at) - epoch(decided.release_requested_at) as seconds_to_release,
    decided.attempts,
    decided.outcome,
    decided.is_in_doubt,
    decided.requested_by,
    decided.requested_by_kind,
    decided.comment,
    decided.released_by,
    decided.first_action_id,
    decided.containing_action_id,
    decided.release_action_id,
    case
        when regexp_matches(decided.machine_id, '^[0-9A-Za-z_-]+$')
            then 'https://security.microsoft.com/machines/' || decided.machine_id
    end as portal_url,
    decided.as_of
from decided;

comment on view marts.containment_episodes is 'Each isolation of a machine, from the first request to the release: how long it took to contain, how long it lasted. Use median and p95: one machine that was offline for days spoils a mean. An isolation from before our coverage has no episode.';
comment on column marts.containment_episodes.tenant is 'Name of the tenant in the configuration.';
comment on column marts.containment_episodes.machine_id is 'The machine.';
comment on column marts.containment_episodes.machine_name is 'DNS name of the machine, as the isolations tell it.';
comment on column marts.containment_episodes.requested_at is 'When isolation was first asked for.';
comment on column marts.containment_episodes.contained_at is 'When the first isolation took effect; null when none did.';
comment on column marts.containment_episodes.release_requested_at is 'When release was first asked for, whatever came of that request; null when contained and nobody asked, or never contained.';
comment on column marts.containment_episodes.released_at is 'When a release took effect.';
comment on column marts.containment_episodes.seconds_to_contain is 'Seconds from requested_at to contained_at; null when never contained.';
comment on column marts.containment_episodes.seconds_contained is 'Seconds from contained_at to released_at, or to as_of while contained; null where that is in doubt.';
comment on column marts.containment_episodes.seconds_to_release is 'Seconds from release_requested_at to released_at.';
comment on column marts.containment_episodes.attempts is 'Isolations asked for in this episode: the first, retries, and selective turned full.';
comment on column marts.containment_episodes.outcome is 'contained (took effect, and no release has), released, never_contained, or pending (asked for, and no end was seen).';
comment on column marts.containment_episodes.is_in_doubt is 'True where the outcome may be another by now: contained and then offboarded, or an action that may have turned it was not seen to its end.';
comment on column marts.containment_episodes.requested_by is 'Who first asked for the isolation.';
comment on column marts.containment_episodes.requested_by_kind is 'person, application or automation.';
comment on column marts.containment_episodes.comment is 'Comment on the first request.';
comment on column marts.containment_episodes.released_by is 'Who asked for the release that took effect.';
comment on column marts.containment_episodes.first_action_id is 'The first request.';
comment on column marts.containment_episodes.containing_action_id is 'The isolation that took effect first.';
comment on column marts.containment_episodes.release_action_id is 'The release that took effect.';
comment on column marts.containment_episodes.portal_url is 'Page of the machine in the commercial portal. Not tried in a live tenant.';
comment on column marts.containment_episodes.as_of is 'The end of the tenant''s last sync that succeeded, at least in part.';

-- One row per tenant, requestor and UTC week.
create or replace view marts.requestor_activity as
with counted as (
    select
        tenant,
        requested_by,
        date_trunc('week', created_at at time zone 'UTC') as week_utc,
        count(*) as action_count,
        count(*) filter (where outcome = 'succeeded') as succeeded_count,
        count(*) filter (where outcome = 'failed') as failed_count,
        count(*) filter (where outcome = 'timed_out') as timed_out_count,
        count(*) filter (where outcome = 'cancelled') as cancelled_count,
        count(*) filter (where outcome = 'pending') as pending_count,
        count(*) filter (where outcome = 'unknown') as unknown_count,
        count(*) filter (where requested_by_kind = 'automation') as automation_count,
        count(distinct machine_id) as machine_count,
        min(requested_by_kind) as first_kind,
        max(requested_by_kind) as last_kind,
        min(created_at) as first_action_at,
        max(created_at) as last_action_at
    from marts.machine_actions
    group by tenant, requested_by, date_trunc('week', created_at at time zone 'UTC')
)

select
    tenant,
    requested_by,
    case when first_kind = last_kind then first_kind when first_kind is not null then 'mixed' end
        as requested_by_kind,
    week_utc,
    action_count,
    succeeded_count,
    failed_count,
    timed_out_count,
    cancelled_count,
    pending_count,
    unknown_count,
    automation_count,
    case
        when succeeded_count + failed_count + timed_out_count > 0
            then
                cast(succeeded_count as double)
                / cast(succeeded_count + failed_count + timed_out_count as double)
    end as succeeded_share,
    machine_count,
    first_action_at,
    last_action_at
from counted;

comment on view marts.requestor_activity is 'Who did how much in each week, and how much of it succeeded.';
comment on column marts.requestor_activity.tenant is 'Name of the tenant in the configuration.';
comment on column marts.requestor_activity.requested_by is 'Who asked, under one spelling; null where the API tells nobody.';
comment on column marts.requestor_activity.requested_by_kind is 'person, application or automation; mixed when an account did both by hand and by rule.';
comment on column marts.requestor_activity.week_utc is 'Monday, 00:00 UTC, of the week in which the actions were asked for.';
comment on column marts.requestor_activity.action_count is 'Actions.';
comment on column marts.requestor_activity.succeeded_count is 'Of them, succeeded.';
comment on column marts.requestor_activity.failed_count is 'Of them, failed.';
comment on column marts.requestor_activity.timed_out_count is 'Of them, timed out.';
comment on column marts.requestor_activity.cancelled_count is 'Of them, cancelled.';
comment on column marts.requestor_activity.pending_count is 'Of them, open.';
comment on column marts.requestor_activity.unknown_count is 'Of them, gone while open or in a status not known.';
comment on column marts.requestor_activity.automation_count is 'Of them, asked for by automation, such as a custom detection rule of this person.';
comment on column marts.requestor_activity.succeeded_share is 'Share that succeeded of those that succeeded, failed or timed out, from 0 to 1; what was cancelled was not given a chance.';
comment on column marts.requestor_activity.machine_count is 'Distinct machines; not to be added up over weeks.';
comment on column marts.requestor_activity.first_action_at is 'First of these actions.';
comment on column marts.requestor_activity.last_action_at is 'Last of these actions.';

-- One row per tenant, UTC hour, type of action and outcome.
create or replace view marts.response_activity as
select
    tenant,
    date_trunc('hour', created_at at time zone 'UTC') as hour_utc,
    action_type,
    outcome,
    count(*) as action_count,
    count(*) filter (where is_open and not is_gone) as open_count,
    count(*) filter (where requested_by_kind = 'person') as person_count,
    count(*) filter (where requested_by_kind = 'application') as application_count,
    count(*) filter (where requested_by_kind = 'automation') as automation_count
from marts.machine_actions
group by tenant, date_trunc('hour', created_at at time zone 'UTC'), action_type, outcome;

comment on view marts.response_activity is 'How much was done, hour by hour. Every count may be added up over any rows.';
comment on column marts.response_activity.tenant is 'Name of the tenant in the configuration.';
comment on column marts.response_activity.hour_utc is 'Start of the hour in which the actions were asked for, in UTC.';
comment on column marts.response_activity.action_type is 'Type as the API names it.';
comment on column marts.response_activity.outcome is 'succeeded, failed, timed_out, cancelled, pending or unknown.';
comment on column marts.response_activity.action_count is 'Actions.';
comment on column marts.response_activity.open_count is 'Of them, open and not gone.';
comment on column marts.response_activity.person_count is 'Of them, asked for by a person.';
comment on column marts.response_activity.application_count is 'Of them, asked for by an application.';
comment on column marts.response_activity.automation_count is 'Of them, asked for by automation.';

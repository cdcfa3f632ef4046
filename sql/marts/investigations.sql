-- One row per tenant and investigation; an alert-id twin is folded into its numeric investigation.
create or replace view marts.investigations as
with twins as (
    select
        pairs.tenant,
        pairs.investigation_id,
        pairs.twin_id,
        twin_rows.cancelled_by,
        twin_rows.status_details,
        twin_rows.machine_id,
        twin_rows.computer_dns_name
    from staging.investigation_twins as pairs
    inner join staging.investigations as twin_rows
        on
            pairs.tenant = twin_rows.tenant
            and pairs.twin_id = twin_rows.id
),

folded as (
    select
        investigations.tenant,
        investigations.id,
        investigations.state,
        investigations.is_open,
        investigations.is_pending_approval,
        investigations.gone_at,
        investigations.start_time,
        investigations.end_time,
        investigations.triggering_alert_id,
        twins.twin_id,
        coalesce(investigations.cancelled_by, twins.cancelled_by) as cancelled_by,
        coalesce(investigations.status_details, twins.status_details) as status_details,
        coalesce(investigations.machine_id, twins.machine_id) as machine_id,
        coalesce(investigations.computer_dns_name, twins.computer_dns_name) as machine_name,
        investigations.synced_at,
        as_of.as_of,
        epoch(as_of.as_of) - epoch(investigations.start_time) as raw_age_seconds
    from staging.investigations as investigations
    left join staging.investigation_twins as folded_away
        on
            investigations.tenant = folded_away.tenant
            and investigations.id = folded_away.twin_id
    left join twins
        on
            investigations.tenant = twins.tenant
            and investigations.id = twins.investigation_id
    left join staging.as_of as as_of
        on investigations.tenant = as_of.tenant
    where folded_away.twin_id is null
)

select
    tenant,
    id as investigation_id,
    state,
    is_open,
    is_pending_approval,
    gone_at is not null as is_gone,
    start_time as started_at,
    end_time as ended_at,
    epoch(end_time) - epoch(start_time) as duration_seconds,
    case when raw_age_seconds < 0 then 0 else raw_age_seconds end as age_seconds,
    triggering_alert_id,
    twin_id as twin_investigation_id,
    cancelled_by,
    status_details,
    machine_id,
    machine_name,
    case
        when regexp_matches(id, '^[0-9A-Za-z_-]+$')
            then 'https://security.microsoft.com/mtp-investigation/' || id
    end as portal_url,
    case
        when regexp_matches(machine_id, '^[0-9A-Za-z_-]+$')
            then 'https://security.microsoft.com/machines/' || machine_id
    end as machine_portal_url,
    gone_at,
    synced_at,
    as_of
from folded;

comment on view marts.investigations is 'One row per automated investigation; the copy that the API shows under the alert''s id is folded into the numeric one.';
comment on column marts.investigations.tenant is 'Name of the tenant in the configuration.';
comment on column marts.investigations.investigation_id is 'Id of the investigation; unique within the tenant.';
comment on column marts.investigations.state is 'State as last read; several may be joined by commas.';
comment on column marts.investigations.is_open is 'True when any part of the state is open; a state not known counts as open. As last read, so see is_gone too.';
comment on column marts.investigations.is_pending_approval is 'True when any part of the state is PendingApproval: somebody has to decide.';
comment on column marts.investigations.is_gone is 'True when the API no longer shows the investigation: it aged out after 180 days or left our sight.';
comment on column marts.investigations.started_at is 'When it started; null on one that was started through the API and never got a numeric id.';
comment on column marts.investigations.ended_at is 'When it ended, as the API tells.';
comment on column marts.investigations.duration_seconds is 'Seconds from started_at to ended_at; null without an end.';
comment on column marts.investigations.age_seconds is 'Seconds from started_at to as_of; 0 for one newer than as_of.';
comment on column marts.investigations.triggering_alert_id is 'Alert that started it.';
comment on column marts.investigations.twin_investigation_id is 'Id of the alert-id twin that is folded into this row.';
comment on column marts.investigations.cancelled_by is 'Who cancelled it.';
comment on column marts.investigations.status_details is 'What the API adds to the state.';
comment on column marts.investigations.machine_id is 'Id of the machine.';
comment on column marts.investigations.machine_name is 'DNS name of the machine as this investigation tells it.';
comment on column marts.investigations.portal_url is 'Page of the investigation in the commercial portal. Its form is not documented and not tried in a live tenant.';
comment on column marts.investigations.machine_portal_url is 'Page of the machine in the commercial portal. Not tried in a live tenant.';
comment on column marts.investigations.gone_at is 'When a sync first missed the investigation; null while the API shows it.';
comment on column marts.investigations.synced_at is 'When the investigation was last read.';
comment on column marts.investigations.as_of is 'The time that ages are counted from: the end of the tenant''s last sync that succeeded, at least in part.';

-- One row per tenant and machine action.
create or replace view marts.machine_actions as
select
    actions.tenant,
    actions.id as machine_action_id,
    actions.type as action_type,
    actions.family,
    actions.title,
    actions.status,
    actions.is_open,
    actions.gone_at is not null as is_gone,
    actions.is_running
    and coalesce(
        epoch(as_of.as_of) - epoch(actions.creation_date_time_utc) > families.overdue_after_seconds, false
    ) as is_overdue,
    actions.is_running
    and coalesce(epoch(as_of.as_of) - epoch(actions.creation_date_time_utc) > 262800, false) as is_stuck,
    actions.outcome,
    actions.creation_date_time_utc as created_at,
    actions.last_update_date_time_utc as last_updated_at,
    actions.effective_at,
    actions.effective_by,
    actions.ended_at,
    epoch(actions.ended_at) - epoch(actions.creation_date_time_utc) as duration_seconds,
    case
        when actions.creation_date_time_utc > as_of.as_of then 0
        else epoch(as_of.as_of) - epoch(actions.creation_date_time_utc)
    end as age_seconds,
    requestors.requested_by,
    requestors.requested_by_kind,
    actions.requestor,
    actions.request_source,
    actions.requestor_comment as comment,
    actions.scope,
    actions.related_file_info__file_identifier as file_hash,
    actions.related_file_info__file_identifier_type as file_hash_type,
    actions.error_h_result as error_code,
    actions.external_id,
    actions.cancellation_requestor as cancelled_by,
    actions.cancellation_comment,
    actions.cancellation_date_time_utc as cancelled_at,
    actions.machine_id,
    actions.computer_dns_name as machine_name,
    'https://security.microsoft.com/action-center/history' as portal_url,
    case
        when regexp_matches(actions.machine_id, '^[0-9A-Za-z_-]+$')
            then 'https://security.microsoft.com/machines/' || actions.machine_id
    end as machine_portal_url,
    actions.gone_at,
    actions.synced_at,
    as_of.as_of
from staging.machine_action_completions as actions
left join staging.action_families as families
    on actions.family = families.family
left join staging.requestors as requestors
    on
        actions.requestor is not distinct from requestors.requestor
        and actions.request_source is not distinct from requestors.request_source
left join staging.as_of as as_of
    on actions.tenant = as_of.tenant;

comment on view marts.machine_actions is 'One row per machine action: what was asked for, of which machine, by whom, and what came of it.';
comment on column marts.machine_actions.tenant is 'Name of the tenant in the configuration.';
comment on column marts.machine_actions.machine_action_id is 'Id of the action; unique within the tenant.';
comment on column marts.machine_actions.action_type is 'Type as the API names it, such as Isolate or RunAntiVirusScan.';
comment on column marts.machine_actions.family is 'What the type is for: isolation, unmanaged_containment, app_restriction, offboarding, scan, file_quarantine, live_response, forensics or other.';
comment on column marts.machine_actions.title is 'Title of the action, where the API gives one.';
comment on column marts.machine_actions.status is 'Status as last read.';
comment on column marts.machine_actions.is_open is 'True unless the status is known to be an end; a status not known counts as open. As last read, so see is_gone too.';
comment on column marts.machine_actions.is_gone is 'True when the API no longer shows the action: it aged out after 180 days or left our sight. It was not deleted.';
comment on column marts.machine_actions.is_overdue is 'True when open, not gone, and older at as_of than its family is given: 15 minutes, 1, 3 or 24 hours.';
comment on column marts.machine_actions.is_stuck is 'True when open, not gone, and older than 73 hours at as_of: longer than the service itself waits for an offline device.';
comment on column marts.machine_actions.outcome is 'succeeded, failed, timed_out, cancelled, pending, or unknown: a status not known, or gone while still open.';
comment on column marts.machine_actions.created_at is 'When the action was asked for.';
comment on column marts.machine_actions.last_updated_at is 'When the API last changed the action.';
comment on column marts.machine_actions.effective_at is 'When the action took effect: the earliest last update at which it was seen Succeeded; null if it never was.';
comment on column marts.machine_actions.effective_by is 'By when it had taken effect at the latest: effective_at, or, where the API tells no time of update, when it was first read as Succeeded.';
comment on column marts.machine_actions.ended_at is 'The earliest last update at which it was seen in the final status that it has now; null while open.';
comment on column marts.machine_actions.duration_seconds is 'Seconds from created_at to ended_at; null while open.';
comment on column marts.machine_actions.age_seconds is 'Seconds from created_at to as_of; 0 for an action newer than as_of.';
comment on column marts.machine_actions.requested_by is 'Who asked, under one spelling: lower case, guests unwrapped to their own address, aliases applied; the request source where no requestor is given.';
comment on column marts.machine_actions.requested_by_kind is 'person, application or automation; null where the API tells neither requestor nor a telling source.';
comment on column marts.machine_actions.requestor is 'Requestor as the API gives it.';
comment on column marts.machine_actions.request_source is 'Where the request came from, as the API gives it, such as Portal, PublicApi or CustomDetection.';
comment on column marts.machine_actions.comment is 'Comment of the requestor.';
comment on column marts.machine_actions.scope is 'Full or Selective for an isolation, Quick or Full for a scan, UnManagedDevice for the containment of an unmanaged device.';
comment on column marts.machine_actions.file_hash is 'Hash of the file that the action is about.';
comment on column marts.machine_actions.file_hash_type is 'Sha1, Sha256 or Md5.';
comment on column marts.machine_actions.error_code is 'The HRESULT of the action; 0 is no error.';
comment on column marts.machine_actions.external_id is 'Id that the requesting system gave the action.';
comment on column marts.machine_actions.cancelled_by is 'Who cancelled the action.';
comment on column marts.machine_actions.cancellation_comment is 'Comment of the one who cancelled.';
comment on column marts.machine_actions.cancelled_at is 'When the action was cancelled.';
comment on column marts.machine_actions.machine_id is 'Id of the machine; null on some actions, at first or for good.';
comment on column marts.machine_actions.machine_name is 'DNS name of the machine as this action tells it.';
comment on column marts.machine_actions.portal_url is 'The portal''s history of actions; no address of a single action is documented. Not tried in a live tenant.';
comment on column marts.machine_actions.machine_portal_url is 'Page of the machine in the commercial portal. Not tried in a live tenant.';
comment on column marts.machine_actions.gone_at is 'When a sync first missed the action; null while the API shows it.';
comment on column marts.machine_actions.synced_at is 'When the action was last read.';
comment on column marts.machine_actions.as_of is 'The time that ages are counted from: the end of the tenant''s last sync that succeeded, at least in part.';

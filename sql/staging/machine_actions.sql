-- One row per tenant and machine action, under the API's names, with what its status and type mean.
-- `is_open` is decided here and nowhere else.
create or replace view staging.machine_actions as
select
    actions.tenant,
    actions.id,
    actions.type,
    actions.title,
    actions.requestor,
    actions.requestor_comment,
    actions.status,
    actions.machine_id,
    actions.computer_dns_name,
    actions.related_file_info__file_identifier,
    actions.related_file_info__file_identifier_type,
    actions.creation_date_time_utc,
    actions.last_update_date_time_utc,
    actions.cancellation_requestor,
    actions.cancellation_comment,
    actions.cancellation_date_time_utc,
    actions.error_h_result,
    actions.scope,
    actions.commands,
    actions.troubleshoot_info,
    actions.external_id,
    actions.request_source,
    actions.additional_properties,
    actions.synced_at,
    actions.gone_at,
    coalesce(statuses.is_open, true) as is_open,
    statuses.status is not null as is_known_status,
    coalesce(statuses.is_open, true) and actions.gone_at is null as is_running,
    case
        when statuses.status is null then 'unknown'
        when statuses.is_open and actions.gone_at is not null then 'unknown'
        else statuses.outcome
    end as outcome,
    case
        when actions.type in ('Isolate', 'Unisolate') and lower(actions.scope) = 'unmanageddevice'
            then 'unmanaged_containment'
        else coalesce(types.family, 'other')
    end as family
from defender.machine_actions as actions
left join staging.machine_action_statuses as statuses
    on actions.status = statuses.status
left join staging.action_types as types
    on actions.type = types.action_type;

-- One row per tenant and machine action, as in staging.machine_actions, with when it took effect and ended.
-- `effective_at` is the earliest last update at which it was seen Succeeded; `ended_at` the earliest one at
-- which it was seen in the final status that it has now.
-- A reading without a time of update can lie anywhere between the action's creation and the reading:
-- its creation stands for it, and `effective_by` bounds it.
create or replace view staging.machine_action_completions as
select
    actions.tenant,
    actions.id,
    actions.type,
    actions.family,
    actions.title,
    actions.status,
    actions.is_open,
    actions.is_running,
    actions.outcome,
    actions.requestor,
    actions.request_source,
    actions.requestor_comment,
    actions.scope,
    actions.related_file_info__file_identifier,
    actions.related_file_info__file_identifier_type,
    actions.error_h_result,
    actions.external_id,
    actions.cancellation_requestor,
    actions.cancellation_comment,
    actions.cancellation_date_time_utc,
    actions.machine_id,
    actions.computer_dns_name,
    actions.creation_date_time_utc,
    actions.last_update_date_time_utc,
    actions.synced_at,
    actions.gone_at,
    case
        when actions.status = 'Succeeded' or earlier.has_succeeded
            then coalesce(
                least(
                    case when actions.status = 'Succeeded' then actions.last_update_date_time_utc end,
                    earlier.succeeded_at
                ),
                actions.creation_date_time_utc
            )
    end as effective_at,
    case
        when actions.status = 'Succeeded' or earlier.has_succeeded
            then coalesce(
                least(
                    case when actions.status = 'Succeeded' then actions.last_update_date_time_utc end,
                    earlier.succeeded_at
                ),
                least(
                    case when actions.status = 'Succeeded' then actions.synced_at end,
                    earlier.succeeded_by
                )
            )
    end as effective_by,
    case when not actions.is_open then least(actions.last_update_date_time_utc, earlier.ended_at) end
        as ended_at
from staging.machine_actions as actions
left join staging.machine_action_earlier_ends as earlier
    on
        actions.tenant = earlier.tenant
        and actions.id = earlier.id;

-- One row per tenant and investigation, under the API's names; `is_open` is decided here and nowhere else.
create or replace view staging.investigations as
select
    investigations.tenant,
    investigations.id,
    investigations.start_time,
    investigations.end_time,
    investigations.state,
    investigations.cancelled_by,
    investigations.status_details,
    investigations.machine_id,
    investigations.computer_dns_name,
    investigations.triggering_alert_id,
    investigations.additional_properties,
    investigations.synced_at,
    investigations.gone_at,
    coalesce(texts.is_open, true) as is_open,
    coalesce(texts.is_pending_approval, false) as is_pending_approval
from defender.investigations as investigations
left join staging.investigation_state_texts as texts
    on investigations.state = texts.state;

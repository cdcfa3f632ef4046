-- One row per distinct state text of an investigation, read as a whole: open wins in a joined text.
create or replace view staging.investigation_state_texts as
select
    state,
    bool_or(is_open) as is_open,
    bool_or(part = 'PendingApproval') as is_pending_approval
from staging.investigation_state_parts
group by state;

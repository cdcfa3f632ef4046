-- One row per distinct requestor text, told apart and under one spelling.
-- A guest's name 'user_contoso.com#EXT#@fabrikam.onmicrosoft.com' stands for user@contoso.com.
create or replace view staging.requestors as
with texts as (
    select distinct
        requestor,
        lower(trim(requestor)) as requestor_key
    from defender.machine_actions
    where trim(requestor) <> ''
),

guests as (
    select
        requestor,
        requestor_key,
        substring(requestor_key, 1, strpos(requestor_key, '#ext#') - 1) as guest
    from texts
    where strpos(requestor_key, '#ext#') > 1
),

-- A domain has no underscore, so the last one stands for the @.
unwrapped as (
    select
        requestor,
        substring(guest, 1, length(guest) - strpos(reverse(guest), '_'))
        || '@'
        || substring(guest, length(guest) - strpos(reverse(guest), '_') + 2, length(guest)) as upn
    from guests
    where strpos(guest, '_') > 1
)

select
    texts.requestor,
    coalesce(aliases.requested_by, unwrapped.upn, texts.requestor_key) as requested_by,
    coalesce(
        aliases.requested_by_kind,
        case
            when coalesce(unwrapped.upn, texts.requestor_key) like '%_@_%' then 'person'
            else 'application'
        end
    ) as requested_by_kind
from texts
left join unwrapped
    on texts.requestor = unwrapped.requestor
left join staging.requestor_aliases as aliases
    on texts.requestor_key = aliases.requestor_key;

-- One row per distinct requestor text and request source, told apart and under one spelling.
-- A guest's name 'user_contoso.com#EXT#@fabrikam.onmicrosoft.com' stands for user@contoso.com.
create or replace view staging.requestors as
with pairs as (
    select distinct
        requestor,
        request_source
    from defender.machine_actions
),

texts as (
    select
        requestor,
        request_source,
        case when trim(requestor) <> '' then lower(trim(requestor)) end as requestor_key
    from pairs
),

guests as (
    select
        requestor,
        request_source,
        requestor_key,
        case
            when strpos(requestor_key, '#ext#') > 1
                then substring(requestor_key, 1, strpos(requestor_key, '#ext#') - 1)
        end as guest
    from texts
),

-- A domain has no underscore, so the last one stands for the @.
unwrapped as (
    select
        requestor,
        request_source,
        requestor_key,
        case
            when strpos(guest, '_') > 1
                then
                    substring(guest, 1, length(guest) - strpos(reverse(guest), '_'))
                    || '@'
                    || substring(guest, length(guest) - strpos(reverse(guest), '_') + 2, length(guest))
            else requestor_key
        end as requested_by
    from guests
),

named as (
    select
        unwrapped.requestor,
        unwrapped.request_source,
        coalesce(aliases.requested_by, unwrapped.requested_by) as requested_by,
        case
            when aliases.requested_by_kind is not null then aliases.requested_by_kind
            when unwrapped.requested_by like '%_@_%' then 'person'
            when unwrapped.requested_by is not null then 'application'
        end as requested_by_kind
    from unwrapped
    left join staging.requestor_aliases as aliases
        on unwrapped.requestor_key = aliases.requestor_key
)

select
    named.requestor,
    named.request_source,
    coalesce(named.requested_by, lower(sources.request_source)) as requested_by,
    case
        when sources.always then 'automation'
        when sources.request_source is not null and coalesce(named.requested_by_kind, '') <> 'person'
            then 'automation'
        else named.requested_by_kind
    end as requested_by_kind
from named
left join staging.request_sources as sources
    on named.request_source = sources.request_source;

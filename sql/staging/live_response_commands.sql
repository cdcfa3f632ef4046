-- One row per command of a live response.
-- The one view that unnests JSON, by a cast to an array. sqlglot carries that; where an engine has no such
-- cast, put `jsonb_array_elements` (Postgres) or `array<string>` for `array<json>` (Spark) in its place.
create or replace view staging.live_response_commands as
with arrays as (
    select
        tenant,
        id,
        case
            when json_type(commands) = 'ARRAY' then cast(json_extract(commands, '$') as json[])
        end as entries
    from defender.machine_actions
    -- Most actions have none, and an empty list costs as much to unnest as a full one.
    where cast(commands as varchar) <> '[]'
),

listed as (
    select
        arrays.tenant,
        arrays.id,
        entries.entry,
        entries.number - 1 as command_index
    from arrays
    cross join unnest(arrays.entries) with ordinality as entries (entry, number)
),

texts as (
    select
        tenant,
        id,
        command_index,
        entry ->> '$.command.type' as command_type,
        entry ->> '$.commandStatus' as command_status,
        entry ->> '$.startTime' as start_text,
        entry ->> '$.endTime' as end_text,
        cast(entry -> '$.command.params' as varchar) as parameters,
        case
            when json_type(entry, '$.command.params') = 'ARRAY'
                then cast(entry -> '$.command.params' as json[])
        end as pairs,
        case
            when json_type(entry, '$.errors') = 'ARRAY' then cast(entry -> '$.errors' as varchar[])
            when json_type(entry, '$.errors') = 'VARCHAR' then [entry ->> '$.errors']
            else []
        end as errors
    from listed
),

-- A time without a zone is UTC, whatever zone the reader's session is in.
zoned as (
    select
        tenant,
        id,
        command_index,
        command_type,
        command_status,
        case
            when regexp_matches(start_text, '(Z|[+-][0-9]{2}:?[0-9]{2})$') then start_text
            else start_text || 'Z'
        end as start_text,
        case
            when regexp_matches(end_text, '(Z|[+-][0-9]{2}:?[0-9]{2})$') then end_text
            else end_text || 'Z'
        end as end_text,
        parameters,
        list_filter(pairs, lambda p: lower(p ->> '$.key') = 'scriptname') as scripts,
        list_filter(pairs, lambda p: lower(p ->> '$.key') in ('path', 'filename')) as paths,
        list_filter(pairs, lambda p: lower(p ->> '$.key') = 'args') as arguments,
        errors
    from texts
)

select
    tenant,
    id,
    command_index,
    command_type,
    command_status,
    try_cast(start_text as timestamptz) as started_at,
    try_cast(end_text as timestamptz) as ended_at,
    nullif(array_to_string(list_transform(scripts, lambda p: p ->> '$.value'), ', '), '') as script_name,
    nullif(array_to_string(list_transform(paths, lambda p: p ->> '$.value'), ', '), '') as path,
    nullif(array_to_string(list_transform(arguments, lambda p: p ->> '$.value'), ', '), '') as arguments,
    parameters,
    len(errors) as error_count,
    nullif(array_to_string(errors, '; '), '') as errors
from zoned;

-- One row per distinct state text and part of it: 'Running, PendingApproval' has two parts.
create or replace view staging.investigation_state_parts as
with texts as (
    select state from defender.investigations
    union
    select state from defender.investigation_versions
),

-- The API knows 19 states; more parts than 32 in one text are cut, and then count as open below.
places as (
    select listed.place
    from
        (
            values
            (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15), (16),
            (17), (18), (19), (20), (21), (22), (23), (24), (25), (26), (27), (28), (29), (30), (31), (32)
        ) as listed (place)
),

parts as (
    select
        texts.state,
        places.place,
        trim(split_part(texts.state, ',', places.place)) as part
    from texts
    inner join places
        on places.place <= length(texts.state) - length(replace(texts.state, ',', '')) + 1
)

select
    parts.state,
    parts.place,
    parts.part,
    known.state is not null as is_known,
    coalesce(known.is_open, true) or parts.place = 32 as is_open
from parts
left join staging.investigation_states as known
    on parts.part = known.state;

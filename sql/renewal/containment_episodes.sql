-- A later `as_of`, all else being as it was.
update snapshot.marts.containment_episodes
set
    as_of = as_of.as_of,
    seconds_contained = case
        when containment_episodes.outcome <> 'contained' or containment_episodes.is_in_doubt
            then containment_episodes.seconds_contained
        when containment_episodes.contained_at > as_of.as_of then 0
        else epoch(as_of.as_of) - epoch(containment_episodes.contained_at)
    end
from _differences.as_of as as_of
where containment_episodes.tenant = as_of.tenant;

-- A later `as_of`, all else being as it was.
update snapshot.marts.machine_containment
set
    as_of = as_of.as_of,
    seconds_isolated = case
        when not coalesce(machine_containment.is_isolated, false) then null
        when machine_containment.since > as_of.as_of then 0
        else epoch(as_of.as_of) - epoch(machine_containment.since)
    end
from _differences.as_of as as_of
where machine_containment.tenant = as_of.tenant;

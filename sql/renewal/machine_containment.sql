-- A later `as_of`, all else being as it was.
update snapshot.marts.machine_containment
set
    as_of = as_of.as_of,
    seconds_isolated = case
        when machine_containment.is_isolated then epoch(as_of.as_of) - epoch(machine_containment.since)
    end
from staging.as_of as as_of
where machine_containment.tenant = as_of.tenant;

-- A later `as_of`, all else being as it was.
update snapshot.marts.live_response_commands
set as_of = as_of.as_of
from _differences.as_of as as_of
where live_response_commands.tenant = as_of.tenant;

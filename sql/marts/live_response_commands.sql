-- One row per tenant, live response and command of it.
create or replace view marts.live_response_commands as
select
    commands.tenant,
    commands.id as machine_action_id,
    commands.command_index,
    commands.command_type,
    commands.command_status,
    commands.script_name,
    commands.path,
    commands.arguments,
    commands.errors,
    commands.error_count,
    commands.started_at,
    commands.ended_at,
    epoch(commands.ended_at) - epoch(commands.started_at) as duration_seconds,
    commands.parameters,
    actions.status as action_status,
    actions.outcome as action_outcome,
    actions.created_at as requested_at,
    actions.requested_by,
    actions.requested_by_kind,
    actions.comment,
    actions.machine_id,
    actions.machine_name,
    actions.machine_portal_url as portal_url,
    actions.as_of
from staging.live_response_commands as commands
inner join marts.machine_actions as actions
    on
        commands.tenant = actions.tenant
        and commands.id = actions.machine_action_id;

comment on view marts.live_response_commands is 'Which scripts and commands ran where, with what result. Live response started on the device''s portal page never appears in the API, and so not here.';
comment on column marts.live_response_commands.tenant is 'Name of the tenant in the configuration.';
comment on column marts.live_response_commands.machine_action_id is 'The live response that the command is part of.';
comment on column marts.live_response_commands.command_index is 'Place of the command in it, from 0.';
comment on column marts.live_response_commands.command_type is 'RunScript, GetFile or PutFile.';
comment on column marts.live_response_commands.command_status is 'Status of the command as the API names it.';
comment on column marts.live_response_commands.script_name is 'Script that was run.';
comment on column marts.live_response_commands.path is 'File that was fetched or put.';
comment on column marts.live_response_commands.arguments is 'Arguments of the script.';
comment on column marts.live_response_commands.errors is 'Errors of the command, joined by semicolons.';
comment on column marts.live_response_commands.error_count is 'Number of errors; 0 when it names none.';
comment on column marts.live_response_commands.started_at is 'When the command started.';
comment on column marts.live_response_commands.ended_at is 'When the command ended.';
comment on column marts.live_response_commands.duration_seconds is 'Seconds from started_at to ended_at.';
comment on column marts.live_response_commands.parameters is 'All parameters as JSON text, as the API gives them.';
comment on column marts.live_response_commands.action_status is 'Status of the whole live response.';
comment on column marts.live_response_commands.action_outcome is 'What came of the whole live response.';
comment on column marts.live_response_commands.requested_at is 'When the live response was asked for.';
comment on column marts.live_response_commands.requested_by is 'Who asked for it.';
comment on column marts.live_response_commands.requested_by_kind is 'person, application or automation.';
comment on column marts.live_response_commands.comment is 'Comment of the requestor.';
comment on column marts.live_response_commands.machine_id is 'The machine.';
comment on column marts.live_response_commands.machine_name is 'DNS name of the machine.';
comment on column marts.live_response_commands.portal_url is 'Page of the machine in the commercial portal. Not tried in a live tenant.';
comment on column marts.live_response_commands.as_of is 'The end of the tenant''s last sync that succeeded, at least in part.';

-- One row per known type of machine action, with its family; scope 'UnManagedDevice' overrides the family.
create or replace view staging.action_types as
select
    listed.action_type,
    listed.family
from
    (
        values
        ('Isolate', 'isolation'),
        ('Unisolate', 'isolation'),
        ('RestrictCodeExecution', 'app_restriction'),
        ('UnrestrictCodeExecution', 'app_restriction'),
        ('Offboard', 'offboarding'),
        ('RunAntiVirusScan', 'scan'),
        ('StopAndQuarantineFile', 'file_quarantine'),
        ('LiveResponse', 'live_response'),
        ('CollectInvestigationPackage', 'forensics'),
        ('RequestSample', 'forensics'),
        ('LogsCollection', 'forensics'),
        ('Unknown', 'other'),
        ('Block', 'other'),
        ('RegenerateId', 'other'),
        ('Troubleshoot', 'other'),
        ('TokenRefresh', 'other'),
        ('EndpointConfigManagementCheckin', 'other'),
        ('EnableActiveDirectoryUser', 'other'),
        ('DisableActiveDirectoryUser', 'other'),
        ('ResetPasswordActiveDirectoryUser', 'other'),
        ('ImmuneActiveDirectoryCustomPlaybook', 'other')
    ) as listed (action_type, family);

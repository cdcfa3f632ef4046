-- Passes when no watermark lies in the future of the moment in which it was written.
-- Severity: warning
select
    tenant,
    resource,
    watermark,
    updated_at
from staging.watermarks
where watermark > updated_at;

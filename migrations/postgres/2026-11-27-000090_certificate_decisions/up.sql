-- An automation may want somebody's approval before it renews, follows what its issuer suggests (RFC 9773), and stands still once its
-- certificate was revoked. Null of all: nobody asks, suggests or revoked anything.
ALTER TABLE certificate_automations ADD COLUMN approval_role TEXT;
ALTER TABLE certificate_automations ADD COLUMN renewal_requested_at BIGINT;
ALTER TABLE certificate_automations ADD COLUMN renewal_requested_by TEXT;
ALTER TABLE certificate_automations ADD COLUMN renewal_approved_at BIGINT;
ALTER TABLE certificate_automations ADD COLUMN renewal_approved_by TEXT;
ALTER TABLE certificate_automations ADD COLUMN renewal_suggested_at BIGINT;
ALTER TABLE certificate_automations ADD COLUMN suggestion_next_at BIGINT;
ALTER TABLE certificate_automations ADD COLUMN revoked_at BIGINT;
-- The reason is there from the moment at which somebody asks for it.
ALTER TABLE certificates ADD COLUMN revocation_reason TEXT;
ALTER TABLE certificates ADD COLUMN revocation_asked_at BIGINT;
ALTER TABLE certificates ADD COLUMN revoked_at BIGINT;

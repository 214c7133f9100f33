-- Views of secrets, and issues of certificates, are removed by their age.
CREATE INDEX credential_views_by_time ON credential_views (at);
CREATE INDEX certificate_issues_by_end ON certificate_issues (finished_at) WHERE finished_at IS NOT NULL;

DROP INDEX certificate_issues_by_end;
DROP INDEX credential_views_by_time;

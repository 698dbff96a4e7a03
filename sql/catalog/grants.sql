-- What the routes need and no more; run by the tables' owner:  psql -v role=larder -f grants.sql

GRANT USAGE ON SCHEMA catalog TO :"role";
GRANT SELECT ON ALL TABLES IN SCHEMA catalog TO :"role";

#!/bin/sh
# Run once by the image of PostgreSQL, as its superuser: the database of the service, of a role that may do nothing else.
# Only a superuser may create the extension.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$DATABASE_PASSWORD" --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
CREATE ROLE dongseon LOGIN PASSWORD :'password';
CREATE DATABASE dongseon OWNER dongseon;
\connect dongseon
CREATE EXTENSION vector;
SQL

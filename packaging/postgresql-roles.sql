-- The roles of a store on PostgreSQL: what each may do, and nothing else.
--
--   pusher_owner    makes and upgrades the tables (pusher store upgrade), prunes; and is used for nothing else
--   pusher_worker   takes work, and records what came of it; submits nothing
--   pusher_console  submits runs, reads how they go, keeps who may do what; records nothing of what was done
--
-- Once, as the server's administrator:  createuser pusher_owner; createdb -O pusher_owner pusher; this file
-- Then, as pusher_owner:                pusher store upgrade; this file
-- After each later upgrade:             this file again, as pusher_owner: it may be run as often as one likes
--
-- Passwords are set by the administrator (\password pusher_worker), and stand on no command line and in no URL: pusher
-- finds them in the file that PGPASSFILE names, or there are none, with GSS or peer.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['pusher_owner', 'pusher_worker', 'pusher_console'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', role);
        END IF;
    END LOOP;
    IF to_regclass('alembic_version') IS NULL THEN
        RAISE NOTICE 'no tables yet: pusher store upgrade, then this file again';
        RETURN;
    END IF;

    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, pusher_worker, pusher_console;
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, pusher_worker, pusher_console;
    GRANT USAGE ON SCHEMA public TO pusher_worker, pusher_console;
    GRANT SELECT ON alembic_version TO pusher_worker, pusher_console;
    GRANT SELECT, INSERT, UPDATE, DELETE ON writers TO pusher_worker, pusher_console;

    -- A worker
    GRANT SELECT ON runs, targets, work, blobs, chunks, parts TO pusher_worker;
    GRANT UPDATE (ended_at, stopped_at) ON runs TO pusher_worker;
    GRANT SELECT, UPDATE ON waves TO pusher_worker;
    GRANT UPDATE (began_at) ON targets TO pusher_worker;
    GRANT UPDATE ON work TO pusher_worker;
    GRANT SELECT, INSERT, UPDATE ON outcomes, attempts, journals, journal_steps, lockout, workers TO pusher_worker;
    GRANT SELECT, INSERT ON events, machines TO pusher_worker;
    GRANT SELECT, INSERT, DELETE ON refusals TO pusher_worker;
    GRANT USAGE ON SEQUENCE events_id_seq, journal_steps_id_seq TO pusher_worker;

    -- The console
    GRANT SELECT ON runs, targets, work, outcomes, attempts, events, machines, workers, refusals TO pusher_console;
    GRANT INSERT ON runs, targets, work, outcomes TO pusher_console;
    GRANT UPDATE (cancel_at, stopped_at) ON runs TO pusher_console;
    -- To resume a run is to open its waves; their work is made ready by a worker.
    GRANT SELECT, INSERT, UPDATE ON waves TO pusher_console;
    GRANT SELECT, INSERT, UPDATE, DELETE ON blobs, chunks, parts TO pusher_console;
    GRANT USAGE ON SEQUENCE work_id_seq TO pusher_console;
    GRANT SELECT, INSERT, UPDATE, DELETE ON people, people_groups, memberships, roles, grants, objects, known_machines,
        machine_groups, members, covers, registered_packages, access_version TO pusher_console;
    GRANT SELECT, INSERT ON audit TO pusher_console;

    -- Of outcomes the console records those of machines that a run spares; what was done to one only a worker does.
    ALTER TABLE outcomes ENABLE ROW LEVEL SECURITY;
    DROP POLICY IF EXISTS pusher_reads ON outcomes;
    DROP POLICY IF EXISTS pusher_works ON outcomes;
    DROP POLICY IF EXISTS pusher_spares ON outcomes;
    CREATE POLICY pusher_reads ON outcomes FOR SELECT TO pusher_console USING (true);
    CREATE POLICY pusher_works ON outcomes TO pusher_worker USING (true) WITH CHECK (true);
    CREATE POLICY pusher_spares ON outcomes FOR INSERT TO pusher_console WITH CHECK (status = 'skipped');
END
$$;

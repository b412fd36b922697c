-- A store as schema 0003 left it: what sqlite3's .dump says of one with a run of two machines in it.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE attempts (
	run VARCHAR(32) NOT NULL,
	target VARCHAR(255) NOT NULL,
	number INTEGER NOT NULL,
	stage VARCHAR(16) NOT NULL,
	code VARCHAR(64),
	account VARCHAR(128),
	started_at VARCHAR(32) NOT NULL,
	ended_at VARCHAR(32) NOT NULL,
	PRIMARY KEY (run, target, number),
	FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "attempts" VALUES('20260301-a','ws01',1,'reach','timed-out','admin','2026-03-01T12:00:00.000000+00:00','2026-03-01T12:00:00.000000+00:00');
INSERT INTO "attempts" VALUES('20260301-a','ws01',2,'record',NULL,'admin','2026-03-01T12:00:00.000000+00:00','2026-03-01T12:00:00.000000+00:00');
CREATE TABLE events (
	id INTEGER NOT NULL,
	run VARCHAR(32) NOT NULL,
	target VARCHAR(255) NOT NULL,
	at VARCHAR(32) NOT NULL,
	stage VARCHAR(16) NOT NULL,
	kind VARCHAR(64) NOT NULL,
	detail TEXT NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "events" VALUES(1,'20260301-a','ws01','2026-03-01T12:00:00.000000+00:00','identify','identity','WS01');
INSERT INTO "events" VALUES(2,'20260301-a','ws02','2026-03-01T12:00:00.000000+00:00','reach','transport-failed','smb: timed-out');
CREATE TABLE journal_steps (
	id INTEGER NOT NULL,
	journal VARCHAR(32) NOT NULL,
	step VARCHAR(16) NOT NULL,
	mark VARCHAR(16) NOT NULL,
	at VARCHAR(32) NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (journal, step, mark),
	FOREIGN KEY(journal) REFERENCES journals (id)
);
INSERT INTO "journal_steps" VALUES(1,'066cd1d2bf62b733','stage','intent','2026-03-01T12:00:00.000000+00:00');
CREATE TABLE journals (
	id VARCHAR(32) NOT NULL,
	host VARCHAR(255) NOT NULL,
	service VARCHAR(256) NOT NULL,
	run VARCHAR(32) NOT NULL,
	target VARCHAR(255) NOT NULL,
	"before" JSON NOT NULL,
	opened_at VARCHAR(32) NOT NULL,
	closed_as VARCHAR(16),
	PRIMARY KEY (id),
	FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "journals" VALUES('066cd1d2bf62b733','ws02','labagent','20260301-a','ws02','{"was_running": true}','2026-03-01T12:00:00.000000+00:00',NULL);
CREATE TABLE lockout (
	account VARCHAR(640) NOT NULL,
	standing JSON NOT NULL,
	changed_at VARCHAR(32) NOT NULL,
	PRIMARY KEY (account)
);
INSERT INTO "lockout" VALUES('corp\admin','{"failures": 1}','2026-03-01T12:00:00.000000+00:00');
CREATE TABLE outcomes (
	run VARCHAR(32) NOT NULL,
	target VARCHAR(255) NOT NULL,
	address VARCHAR(64),
	status VARCHAR(16) NOT NULL,
	stage VARCHAR(16) NOT NULL,
	code VARCHAR(64),
	message TEXT,
	remedy TEXT,
	next_move VARCHAR(16),
	account VARCHAR(128),
	transport VARCHAR(16),
	protocol VARCHAR(16),
	attempts INTEGER NOT NULL,
	seconds FLOAT NOT NULL,
	accounts_tried JSON NOT NULL,
	checks JSON NOT NULL,
	steps JSON NOT NULL,
	bytes_copied INTEGER NOT NULL,
	agent_version VARCHAR(64),
	machine VARCHAR(255),
	site VARCHAR(64),
	started_at VARCHAR(32) NOT NULL,
	ended_at VARCHAR(32) NOT NULL,
	PRIMARY KEY (run, target),
	FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "outcomes" VALUES('20260301-a','ws01','10.0.0.1','installed','record',NULL,NULL,NULL,NULL,'admin','smb','ntlm',2,0.5,'[{"account": "admin", "code": null}]','[]','[]',0,'1.4.2','WS01','paris','2026-03-01T12:00:00.000000+00:00','2026-03-01T12:00:00.000000+00:00');
CREATE TABLE runs (
	id VARCHAR(32) NOT NULL,
	verb VARCHAR(16) NOT NULL,
	inventory TEXT NOT NULL,
	package TEXT,
	version VARCHAR(64),
	operator VARCHAR(128) NOT NULL,
	parent VARCHAR(32),
	options JSON NOT NULL,
	started_at VARCHAR(32) NOT NULL,
	ended_at VARCHAR(32),
	cancel_at VARCHAR(32), worker JSON,
	PRIMARY KEY (id)
);
INSERT INTO "runs" VALUES('20260301-a','push','lab.yaml','agent','1.4.2','me@here',NULL,'{"concurrency": 5}','2026-03-01T12:00:00.000000+00:00',NULL,NULL,'{"pid": 1, "host": "here"}');
CREATE TABLE targets (
	run VARCHAR(32) NOT NULL,
	name VARCHAR(255) NOT NULL,
	address VARCHAR(64),
	site VARCHAR(64),
	began_at VARCHAR(32),
	PRIMARY KEY (run, name),
	FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "targets" VALUES('20260301-a','ws01','10.0.0.1','paris','2026-03-01T12:00:00.000000+00:00');
INSERT INTO "targets" VALUES('20260301-a','ws02',NULL,NULL,NULL);
CREATE INDEX events_by_target ON events (run, target, id);
CREATE INDEX outcomes_by_status ON outcomes (run, status);
CREATE INDEX journals_open ON journals (host, service, closed_as);
COMMIT;

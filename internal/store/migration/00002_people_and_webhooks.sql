-- +goose Up
-- The secrets among an organization's settings, sealed.
ALTER TABLE organizations ADD COLUMN secrets text NOT NULL DEFAULT '';

ALTER TABLE webhook_endpoints ADD COLUMN signing text NOT NULL DEFAULT 'v1';
ALTER TABLE webhook_endpoints ADD COLUMN disabled_reason text NOT NULL DEFAULT '';

-- task_id names the outbox row that delivers: only who holds that row's claim
-- decides how the delivery goes on. earlier_attempts were made before it was
-- last sent again: the schedule counts from there.
ALTER TABLE deliveries ADD COLUMN task_id text NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN earlier_attempts integer NOT NULL DEFAULT 0;
-- failed_at is 0 while a delivery has not failed. The indexes ask for it, and for
-- next_attempt_at, rather than for status: a delivery that arrives at once changes
-- neither, so its update leaves the indexes alone.
ALTER TABLE deliveries ADD COLUMN failed_at bigint NOT NULL DEFAULT 0;
UPDATE deliveries SET failed_at = updated_at WHERE status = 'failed';
CREATE INDEX deliveries_failed ON deliveries (endpoint_id, id) WHERE failed_at > 0;
CREATE INDEX deliveries_failed_window ON deliveries (endpoint_id, created_at, id) WHERE failed_at > 0;
CREATE INDEX deliveries_retrying ON deliveries (endpoint_id, id) WHERE next_attempt_at > 0;
CREATE INDEX outbox_scheduled ON outbox (queue, lane, id) WHERE state = 'scheduled';

-- What the search compares by; company is set for colleagues made by hand only:
-- the others were found among users and people, who are searched themselves.
ALTER TABLE colleagues ADD COLUMN company text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE colleagues ADD COLUMN department text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE colleagues ADD COLUMN seniority integer NOT NULL DEFAULT 0;
-- One index for each part of a company that the search reads, newest first, see
-- store/candidate.go. The joined keys let each part fit one index alone: with
-- columns apart, PostgreSQL, which plans for the average company, would take
-- another for the largest. A user's time is created_at, which no update moves.
DROP INDEX users_company;
CREATE INDEX users_office ON users (organization_id, (company || '/' || country || '/' || department), created_at DESC, id) WHERE company <> '';
CREATE INDEX users_country ON users (organization_id, (company || '/' || country), created_at DESC, id) WHERE company <> '';
CREATE INDEX users_department ON users (organization_id, (company || '/' || department), created_at DESC, id) WHERE company <> '';
DROP INDEX people_company;
CREATE INDEX people_office ON people (organization_id, (company || '/' || country || '/' || department), updated_at DESC, id) WHERE company <> '';
CREATE INDEX people_country ON people (organization_id, (company || '/' || country), updated_at DESC, id) WHERE company <> '';
CREATE INDEX people_department ON people (organization_id, (company || '/' || department), updated_at DESC, id) WHERE company <> '';
CREATE INDEX colleagues_company ON colleagues (organization_id, (company || '/' || department), created_at DESC, id) WHERE company <> '';
-- invited_by is the e-mail key of who made the colleague by hand.
CREATE INDEX colleagues_inviter ON colleagues (organization_id, invited_by) WHERE invited_by <> '';
CREATE INDEX colleague_links_colleague ON colleague_links (colleague_id, user_id);

-- What a directory service said of a company, to be asked again after expires_at.
CREATE TABLE source_answers (
    organization_id text   COLLATE "C" NOT NULL,
    source          text   COLLATE "C" NOT NULL,
    company         text   COLLATE "C" NOT NULL,
    answer          text   NOT NULL,
    expires_at      bigint NOT NULL,
    PRIMARY KEY (organization_id, source, company)
);
CREATE INDEX source_answers_expires ON source_answers (expires_at);

-- One upload of people. Its lines wait in import_chunks; a chunk is deleted in
-- the transaction that stores its people, so no line is taken twice.
CREATE TABLE imports (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    status          text   NOT NULL,
    format          text   NOT NULL,
    encoding        text   NOT NULL DEFAULT '',
    ignored         text   NOT NULL DEFAULT '',
    actor           text   NOT NULL,
    lines           bigint NOT NULL DEFAULT 0,
    done            bigint NOT NULL DEFAULT 0,
    saved           bigint NOT NULL DEFAULT 0,
    refused         bigint NOT NULL DEFAULT 0,
    message         text   NOT NULL DEFAULT '',
    created_at      bigint NOT NULL,
    started_at      bigint NOT NULL DEFAULT 0,
    finished_at     bigint NOT NULL DEFAULT 0,
    updated_at      bigint NOT NULL
);
CREATE INDEX imports_organization ON imports (organization_id, id);
CREATE INDEX imports_receiving ON imports (updated_at) WHERE status = 'receiving';

CREATE TABLE import_chunks (
    import_id text    COLLATE "C" NOT NULL,
    number    integer NOT NULL,
    body      text    NOT NULL,
    PRIMARY KEY (import_id, number)
);

CREATE TABLE import_errors (
    import_id text   COLLATE "C" NOT NULL,
    line      bigint NOT NULL,
    position  integer NOT NULL,
    field     text   NOT NULL,
    message   text   NOT NULL,
    PRIMARY KEY (import_id, line, position)
);

-- The list of users goes by id.
CREATE INDEX users_organization ON users (organization_id, id);

-- Who must never be found again: a keyed hash of the address, not the address.
CREATE TABLE erased (
    organization_id text   COLLATE "C" NOT NULL,
    person          text   COLLATE "C" NOT NULL,
    created_at      bigint NOT NULL,
    PRIMARY KEY (organization_id, person)
);

CREATE TABLE erasures (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    user_id         text   COLLATE "C" NOT NULL,
    status          text   NOT NULL,
    removed         text   NOT NULL DEFAULT '',
    platforms       text   NOT NULL DEFAULT '',
    created_at      bigint NOT NULL,
    finished_at     bigint NOT NULL DEFAULT 0
);
CREATE INDEX erasures_organization ON erasures (organization_id, id);

-- What happened to a user, by whom or what.
CREATE TABLE events (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    user_id         text   COLLATE "C" NOT NULL DEFAULT '',
    type            text   NOT NULL,
    source          text   NOT NULL,
    cause           text   NOT NULL DEFAULT '',
    attributes      text   NOT NULL DEFAULT '',
    created_at      bigint NOT NULL
);
CREATE INDEX events_organization ON events (organization_id, id);
CREATE INDEX events_user ON events (user_id, id);

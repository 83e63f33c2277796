-- +goose Up
-- One account at one platform. credentials are sealed.
CREATE TABLE connections (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    platform        text   NOT NULL,
    name            text   NOT NULL,
    status          text   NOT NULL,
    reason          text   NOT NULL DEFAULT '',
    settings        text   NOT NULL DEFAULT '{}',
    credentials     text   NOT NULL,
    facts           text   NOT NULL DEFAULT '',
    checked_at      bigint NOT NULL DEFAULT 0,
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL
);
CREATE INDEX connections_organization ON connections (organization_id, id);

-- One user at one connection: which version the platform is to have, which it
-- has, and since when something is due. due_at 0: nothing is to be done. status:
--   idle        the platform has pushed_version, or the connection is not active
--   pending     to be pushed at due_at
--   calling     a call is under way; if nobody says how it ended, it is made again at due_at
--   confirming  the platform works on job; it is asked again at due_at
-- wanted_at is when the oldest unmet wish came. sent_version and sent_hash are
-- what job will have pushed. dirty says that a worker that had lost its claim may
-- have written there: what is pushed now is to be pushed once more.
-- removal is set when the person was erased: the sealed address that is to be
-- removed there, with the erasure that wants to know.
CREATE TABLE pushes (
    connection_id   text    COLLATE "C" NOT NULL,
    user_id         text    COLLATE "C" NOT NULL,
    organization_id text    COLLATE "C" NOT NULL,
    status          text    NOT NULL DEFAULT 'idle',
    rank            integer NOT NULL DEFAULT 1,
    due_at          bigint  NOT NULL DEFAULT 0,
    wanted_version  bigint  NOT NULL DEFAULT 0,
    wanted_at       bigint  NOT NULL DEFAULT 0,
    pushed_version  bigint  NOT NULL DEFAULT 0,
    pushed_hash     text    NOT NULL DEFAULT '',
    pushed_at       bigint  NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,
    remote          text    NOT NULL DEFAULT '',
    job             text    NOT NULL DEFAULT '',
    sent_version    bigint  NOT NULL DEFAULT 0,
    sent_hash       text    NOT NULL DEFAULT '',
    dirty           integer NOT NULL DEFAULT 0,
    removal         text    NOT NULL DEFAULT '',
    erasure_id      text    COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (connection_id, user_id)
);
CREATE INDEX pushes_due ON pushes (connection_id, rank, due_at, user_id) WHERE due_at > 0;
CREATE INDEX pushes_user ON pushes (user_id, connection_id);
CREATE INDEX pushes_calling ON pushes (connection_id) WHERE status = 'calling';

-- Who waits for a push: a step of a request, or one user of a bulk (position -1).
-- Rows of mode once and preview are work of their own, due at due_at; a state
-- is met when the push reaches version. A row is deleted in the transaction that
-- writes its outcome.
CREATE TABLE push_waits (
    connection_id   text    COLLATE "C" NOT NULL,
    user_id         text    COLLATE "C" NOT NULL,
    request_id      text    COLLATE "C" NOT NULL,
    organization_id text    COLLATE "C" NOT NULL,
    position        integer NOT NULL,
    mode            text    NOT NULL,
    version         bigint  NOT NULL,
    rank            integer NOT NULL DEFAULT 1,
    due_at          bigint  NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,
    job             text    NOT NULL DEFAULT '',
    created_at      bigint  NOT NULL,
    PRIMARY KEY (connection_id, user_id, request_id)
);
CREATE INDEX push_waits_due ON push_waits (connection_id, rank, due_at, user_id, request_id) WHERE due_at > 0;
CREATE INDEX push_waits_user ON push_waits (user_id, connection_id);
CREATE INDEX push_waits_request ON push_waits (request_id);

-- How far a bulk has come; cursor is the last user planned. again says that only
-- those are planned whose errors a retry has marked.
CREATE TABLE bulks (
    request_id      text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    connection_id   text   COLLATE "C" NOT NULL,
    cursor          text   COLLATE "C" NOT NULL DEFAULT '',
    planned         integer NOT NULL DEFAULT 0,
    again           integer NOT NULL DEFAULT 0,
    total           bigint NOT NULL DEFAULT 0,
    done            bigint NOT NULL DEFAULT 0,
    added           bigint NOT NULL DEFAULT 0,
    updated         bigint NOT NULL DEFAULT 0,
    unchanged       bigint NOT NULL DEFAULT 0,
    removed         bigint NOT NULL DEFAULT 0,
    skipped         bigint NOT NULL DEFAULT 0,
    errors          bigint NOT NULL DEFAULT 0,
    audience_id     text   NOT NULL DEFAULT '',
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL
);

-- The users of a bulk that failed or were skipped, and why.
CREATE TABLE bulk_errors (
    request_id      text   COLLATE "C" NOT NULL,
    user_id         text   COLLATE "C" NOT NULL,
    organization_id text   COLLATE "C" NOT NULL,
    status          text   NOT NULL,
    code            text   NOT NULL,
    message         text   NOT NULL,
    created_at      bigint NOT NULL,
    PRIMARY KEY (request_id, user_id)
);
CREATE INDEX bulk_errors_user ON bulk_errors (user_id);

-- When what we hold ourselves was gone; the platforms may take longer.
ALTER TABLE erasures ADD COLUMN swept_at bigint NOT NULL DEFAULT 0;

-- The condition is always true. It keeps the index to the statements that say it:
-- on a table that was empty when a statement was planned, PostgreSQL took the old
-- one for users_email and read all users of an organization for each address.
DROP INDEX users_organization;
CREATE INDEX users_organization ON users (organization_id, id) WHERE id <> '';

-- The organization is part of the joined keys: no index but the one that is meant
-- fits a part of the colleague search, whatever the planner knows of the table.
DROP INDEX users_office;
DROP INDEX users_country;
DROP INDEX users_department;
CREATE INDEX users_office ON users ((organization_id || '/' || company || '/' || country || '/' || department), created_at DESC, id) WHERE company <> '';
CREATE INDEX users_country ON users ((organization_id || '/' || company || '/' || country), created_at DESC, id) WHERE company <> '';
CREATE INDEX users_department ON users ((organization_id || '/' || company || '/' || department), created_at DESC, id) WHERE company <> '';
DROP INDEX people_office;
DROP INDEX people_country;
DROP INDEX people_department;
CREATE INDEX people_office ON people ((organization_id || '/' || company || '/' || country || '/' || department), updated_at DESC, id) WHERE company <> '';
CREATE INDEX people_country ON people ((organization_id || '/' || company || '/' || country), updated_at DESC, id) WHERE company <> '';
CREATE INDEX people_department ON people ((organization_id || '/' || company || '/' || department), updated_at DESC, id) WHERE company <> '';
DROP INDEX colleagues_company;
CREATE INDEX colleagues_company ON colleagues ((organization_id || '/' || company || '/' || department), created_at DESC, id) WHERE company <> '';

-- What is rare among requests has indexes of its own, which the usual request, that
-- is queued and then succeeded, is never in. They ask for notable and not for
-- status: an update that leaves notable empty leaves all indexes alone. The joined
-- keys keep the lists in the order of ids to them, whatever the planner knows.
-- only: postgres
ALTER TABLE requests ADD COLUMN notable text COLLATE "C" NOT NULL GENERATED ALWAYS AS (CASE WHEN status IN ('queued', 'succeeded') THEN '' ELSE status END) STORED;
-- only: sqlite
ALTER TABLE requests ADD COLUMN notable text NOT NULL GENERATED ALWAYS AS (CASE WHEN status IN ('queued', 'succeeded') THEN '' ELSE status END) VIRTUAL;
-- only: end
CREATE INDEX requests_notable ON requests ((organization_id || '/' || kind || '/' || notable), id) WHERE notable <> '';
CREATE INDEX requests_user_notable ON requests ((user_id || '/' || notable), id) WHERE notable <> '';
CREATE INDEX requests_kind ON requests ((organization_id || '/' || kind), id) WHERE kind <> 'user-sync';
-- Likewise all events but those that every request may write.
CREATE INDEX events_type ON events ((organization_id || '/' || type), id) WHERE type NOT IN ('user.created', 'user.updated');

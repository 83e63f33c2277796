-- +goose Up
-- One text for both engines. Times are UTC microseconds since 1970, 0 is never.
-- JSON is text, never queried into. COLLATE "C" is left out on SQLite, whose
-- text compares by bytes anyway.

CREATE TABLE organizations (
    id                       text   COLLATE "C" NOT NULL PRIMARY KEY,
    name                     text   NOT NULL,
    status                   text   NOT NULL,
    salt                     text   NOT NULL,
    default_invite_link      text   NOT NULL DEFAULT '',
    default_redirection_link text   NOT NULL DEFAULT '',
    client_group_code        text   NOT NULL DEFAULT '',
    client_code              text   NOT NULL DEFAULT '',
    paper_code               text   NOT NULL DEFAULT '',
    settings                 text   NOT NULL DEFAULT '{}',
    created_at               bigint NOT NULL,
    updated_at               bigint NOT NULL
);

CREATE TABLE api_keys (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL DEFAULT '',
    name            text   NOT NULL,
    hash            text   COLLATE "C" NOT NULL,
    hint            text   NOT NULL,
    scopes          text   NOT NULL,
    created_at      bigint NOT NULL,
    expires_at      bigint NOT NULL DEFAULT 0,
    revoked_at      bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX api_keys_hash ON api_keys (hash);
CREATE INDEX api_keys_organization ON api_keys (organization_id, id);

-- The row that settling and top-up lock first. message_sequence numbers the
-- organization's webhook messages.
CREATE TABLE balances (
    organization_id  text   COLLATE "C" NOT NULL PRIMARY KEY,
    balance          bigint NOT NULL DEFAULT 0 CHECK (balance >= 0),
    message_sequence bigint NOT NULL DEFAULT 0
);

CREATE TABLE ledger (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    kind            text   NOT NULL,
    amount          bigint NOT NULL,
    request_id      text   COLLATE "C" NOT NULL DEFAULT '',
    reference       text   COLLATE "C" NOT NULL DEFAULT '',
    balance_after   bigint NOT NULL,
    created_at      bigint NOT NULL
);
CREATE UNIQUE INDEX ledger_request ON ledger (organization_id, request_id) WHERE request_id <> '';
CREATE UNIQUE INDEX ledger_reference ON ledger (organization_id, reference) WHERE reference <> '';
CREATE INDEX ledger_organization ON ledger (organization_id, id);

CREATE TABLE users (
    id              text    COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text    COLLATE "C" NOT NULL,
    email_key       text    COLLATE "C" NOT NULL,
    email           text    NOT NULL,
    person_key      text    COLLATE "C" NOT NULL,
    company         text    COLLATE "C" NOT NULL DEFAULT '',
    country         text    COLLATE "C" NOT NULL DEFAULT '',
    department      text    COLLATE "C" NOT NULL DEFAULT '',
    seniority       integer NOT NULL DEFAULT 0,
    first_name      text    NOT NULL DEFAULT '',
    last_name       text    NOT NULL DEFAULT '',
    name            text    NOT NULL DEFAULT '',
    job_title       text    NOT NULL DEFAULT '',
    invite_link     text    NOT NULL DEFAULT '',
    attributes      text    NOT NULL DEFAULT '',
    sequences       text    NOT NULL DEFAULT '',
    version         bigint  NOT NULL DEFAULT 1,
    created_at      bigint  NOT NULL,
    updated_at      bigint  NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (organization_id, email_key);
CREATE INDEX users_company ON users (organization_id, company, country, department, id) WHERE company <> '';

-- People an organization imported for the colleague search.
CREATE TABLE people (
    id              text    COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text    COLLATE "C" NOT NULL,
    email_key       text    COLLATE "C" NOT NULL,
    email           text    NOT NULL,
    person_key      text    COLLATE "C" NOT NULL,
    company         text    COLLATE "C" NOT NULL DEFAULT '',
    country         text    COLLATE "C" NOT NULL DEFAULT '',
    department      text    COLLATE "C" NOT NULL DEFAULT '',
    seniority       integer NOT NULL DEFAULT 0,
    name            text    NOT NULL DEFAULT '',
    job_title       text    NOT NULL DEFAULT '',
    company_name    text    NOT NULL DEFAULT '',
    website         text    NOT NULL DEFAULT '',
    photo           text    NOT NULL DEFAULT '',
    created_at      bigint  NOT NULL,
    updated_at      bigint  NOT NULL
);
CREATE UNIQUE INDEX people_email ON people (organization_id, email_key);
CREATE INDEX people_company ON people (organization_id, company, country, department, id) WHERE company <> '';

CREATE TABLE colleagues (
    id               text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id  text   COLLATE "C" NOT NULL,
    email_key        text   COLLATE "C" NOT NULL,
    email            text   NOT NULL,
    name             text   NOT NULL DEFAULT '',
    job_title        text   NOT NULL DEFAULT '',
    status           text   NOT NULL,
    company_name     text   NOT NULL DEFAULT '',
    website          text   NOT NULL DEFAULT '',
    invite_link      text   NOT NULL DEFAULT '',
    redirection_link text   NOT NULL DEFAULT '',
    photo            text   NOT NULL DEFAULT '',
    team             bigint NOT NULL DEFAULT 0,
    invited_by       text   COLLATE "C" NOT NULL DEFAULT '',
    latest_action    bigint NOT NULL DEFAULT 0,
    created_at       bigint NOT NULL,
    updated_at       bigint NOT NULL
);
CREATE UNIQUE INDEX colleagues_email ON colleagues (organization_id, email_key);

-- Which user a colleague was found for.
CREATE TABLE colleague_links (
    user_id         text   COLLATE "C" NOT NULL,
    colleague_id    text   COLLATE "C" NOT NULL,
    organization_id text   COLLATE "C" NOT NULL,
    score           double precision NOT NULL,
    reasons         text   NOT NULL,
    created_at      bigint NOT NULL,
    PRIMARY KEY (user_id, colleague_id)
);

-- sequence is the order of acceptance. task_id names the outbox row that works
-- the request: whoever holds that row's claim may write here.
CREATE TABLE requests (
    organization_id text    COLLATE "C" NOT NULL,
    id              text    COLLATE "C" NOT NULL,
    kind            text    NOT NULL,
    status          text    NOT NULL,
    user_id         text    COLLATE "C" NOT NULL,
    email           text    NOT NULL,
    sequence        bigint  NOT NULL,
    input           text    NOT NULL,
    task_id         text    COLLATE "C" NOT NULL,
    traceparent     text    NOT NULL DEFAULT '',
    run             integer NOT NULL DEFAULT 1,
    charged         bigint  NOT NULL DEFAULT 0,
    created_at      bigint  NOT NULL,
    started_at      bigint  NOT NULL DEFAULT 0,
    finished_at     bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX requests_user ON requests (user_id, id);

CREATE TABLE steps (
    request_id      text    COLLATE "C" NOT NULL,
    position        integer NOT NULL,
    organization_id text    COLLATE "C" NOT NULL,
    name            text    NOT NULL,
    platform        text    NOT NULL DEFAULT '',
    connection_id   text    COLLATE "C" NOT NULL DEFAULT '',
    status          text    NOT NULL,
    reason          text    NOT NULL DEFAULT '',
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at bigint  NOT NULL DEFAULT 0,
    details         text    NOT NULL DEFAULT '',
    error_code      text    NOT NULL DEFAULT '',
    error_message   text    NOT NULL DEFAULT '',
    found           text    NOT NULL DEFAULT '',
    updated_at      bigint  NOT NULL,
    PRIMARY KEY (request_id, position)
);

-- A row is one task: ready (to be put on the queue), sent (it is there, or a
-- worker has it), scheduled (not before look_at), parked (until credits come,
-- at the latest at look_at). look_at of a sent row is when it counts as lost.
-- Finished tasks are deleted.
CREATE TABLE outbox (
    id              text    COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text    COLLATE "C" NOT NULL,
    kind            text    NOT NULL,
    queue           text    COLLATE "C" NOT NULL,
    lane            text    COLLATE "C" NOT NULL,
    args            text    NOT NULL,
    traceparent     text    NOT NULL DEFAULT '',
    state           text    COLLATE "C" NOT NULL,
    generation      bigint  NOT NULL DEFAULT 1,
    look_at         bigint  NOT NULL DEFAULT 0,
    claim_token     text    COLLATE "C" NOT NULL DEFAULT '',
    claimed_until   bigint  NOT NULL DEFAULT 0,
    started_at      bigint  NOT NULL DEFAULT 0,
    failures        integer NOT NULL DEFAULT 0,
    created_at      bigint  NOT NULL
);
CREATE INDEX outbox_ready ON outbox (queue, lane, id) WHERE state = 'ready';
CREATE INDEX outbox_sent ON outbox (queue, lane) WHERE state = 'sent';
CREATE INDEX outbox_parked ON outbox (organization_id, id) WHERE state = 'parked';
CREATE INDEX outbox_look ON outbox (look_at) WHERE state <> 'ready';

CREATE TABLE idempotency_keys (
    organization_id text   COLLATE "C" NOT NULL,
    scope           text   COLLATE "C" NOT NULL,
    key             text   COLLATE "C" NOT NULL,
    body_hash       text   COLLATE "C" NOT NULL,
    acceptance      text   NOT NULL,
    created_at      bigint NOT NULL,
    PRIMARY KEY (organization_id, scope, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

CREATE TABLE webhook_endpoints (
    id               text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id  text   COLLATE "C" NOT NULL,
    url              text   NOT NULL,
    event_types      text   NOT NULL,
    description      text   NOT NULL DEFAULT '',
    status           text   NOT NULL,
    secret           text   NOT NULL,
    old_secret       text   NOT NULL DEFAULT '',
    old_secret_until bigint NOT NULL DEFAULT 0,
    failing_since    bigint NOT NULL DEFAULT 0,
    created_at       bigint NOT NULL,
    updated_at       bigint NOT NULL
);
CREATE INDEX webhook_endpoints_organization ON webhook_endpoints (organization_id, id);

CREATE TABLE messages (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    type            text   NOT NULL,
    request_id      text   COLLATE "C" NOT NULL DEFAULT '',
    sequence        bigint NOT NULL,
    body            text   NOT NULL,
    traceparent     text   NOT NULL DEFAULT '',
    created_at      bigint NOT NULL
);

-- The id begins with the message's, so that a message's deliveries are a range.
CREATE TABLE deliveries (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    message_id      text   COLLATE "C" NOT NULL,
    endpoint_id     text   COLLATE "C" NOT NULL,
    type            text   NOT NULL,
    status          text   NOT NULL,
    attempts        text   NOT NULL DEFAULT '',
    attempt_count   integer NOT NULL DEFAULT 0,
    next_attempt_at bigint NOT NULL DEFAULT 0,
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL
);
CREATE INDEX deliveries_endpoint ON deliveries (endpoint_id, id);

CREATE TABLE audit (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL DEFAULT '',
    actor           text   NOT NULL,
    action          text   NOT NULL,
    object          text   NOT NULL,
    fields          text   NOT NULL DEFAULT '',
    created_at      bigint NOT NULL
);
CREATE INDEX audit_organization ON audit (organization_id, id);

-- The last acceptance number given out, see store.Accept.
-- only: sqlite
CREATE TABLE acceptance (
    one    integer NOT NULL PRIMARY KEY CHECK (one = 1),
    number bigint  NOT NULL
);
INSERT INTO acceptance (one, number) VALUES (1, 0);
-- only: postgres
CREATE SEQUENCE acceptance;
-- Room in each page lets the one or two updates of a row's life stay beside it
-- and leave the indexes alone.
ALTER TABLE requests SET (fillfactor = 60);
ALTER TABLE deliveries SET (fillfactor = 60);
ALTER TABLE users SET (fillfactor = 85);
ALTER TABLE outbox SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
ALTER TABLE balances SET (fillfactor = 20);
-- only: end

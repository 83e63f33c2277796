-- +goose Up
-- The schema: one text for both engines. Times are UTC microseconds since 1970, and 0
-- means never. JSON is text that no statement looks into. COLLATE "C" is left out on
-- SQLite, whose text compares by bytes anyway. Lines between "-- only: X" and the next
-- "-- only:" are for that engine alone. ADR 0002 says why. What a CHECK lists are the
-- constants of the package that owns the column, which a test compares; which rules
-- stand here and which do not: ADR 0016.

------------------------------------------------------------------------ organizations

-- The tenants. settings is what the tenant may read back. secrets holds the secrets
-- among the settings, sealed. salt keys the hashes that are made of its people's
-- addresses. codes_key is the three codes in lower case, '' unless all are set, and
-- token_scope a hash of whose tokens the directory dialect takes. follow_ups rises with every change to one of its follow-ups; 0 means that
-- there has never been one.
CREATE TABLE organizations (
    id                       text   COLLATE "C" NOT NULL PRIMARY KEY,
    name                     text   NOT NULL,
    status                   text   NOT NULL CHECK (status IN ('active', 'disabled')),
    salt                     text   NOT NULL,
    default_invite_link      text   NOT NULL DEFAULT '',
    default_redirection_link text   NOT NULL DEFAULT '',
    client_group_code        text   NOT NULL DEFAULT '',
    client_code              text   NOT NULL DEFAULT '',
    paper_code               text   NOT NULL DEFAULT '',
    codes_key                text   COLLATE "C" NOT NULL DEFAULT '',
    token_scope              text   COLLATE "C" NOT NULL DEFAULT '',
    settings                 text   NOT NULL DEFAULT '{}',
    secrets                  text   NOT NULL DEFAULT '',
    follow_ups               bigint NOT NULL DEFAULT 0,
    created_at               bigint NOT NULL,
    updated_at               bigint NOT NULL
);

CREATE UNIQUE INDEX organizations_codes ON organizations (codes_key) WHERE codes_key <> '';
CREATE INDEX organizations_token_scope ON organizations (token_scope) WHERE token_scope <> '';

-- The API keys. A key itself is not stored: hash finds it, and hint is its visible
-- ending. A key without an organization is not linked.
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

-- Who is signed in to the console. What the cookie says is not stored: token_hash finds it.
-- data is sealed: the id of the key, or that it is the operator.
CREATE TABLE console_sessions (
    token_hash      text   COLLATE "C" NOT NULL PRIMARY KEY,
    data            text   NOT NULL,
    expires_at      bigint NOT NULL
);
CREATE INDEX console_sessions_expires ON console_sessions (expires_at);

-- Who changed what, and which fields of it; never the values.
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

------------------------------------------------------------------------ credits

-- What an organization has left. Settling and top-ups lock this row first.
-- message_sequence numbers the organization's webhook messages.
CREATE TABLE balances (
    organization_id  text   COLLATE "C" NOT NULL PRIMARY KEY,
    balance          bigint NOT NULL DEFAULT 0 CHECK (balance >= 0),
    message_sequence bigint NOT NULL DEFAULT 0 CHECK (message_sequence >= 0),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- Every change of a balance, for good. The unique indexes allow one charge for a
-- request and one top-up for a reference.
CREATE TABLE ledger (
    id              text   COLLATE "C" NOT NULL,
    organization_id text   COLLATE "C" NOT NULL,
    kind            text   NOT NULL CHECK (kind IN ('top_up', 'charge')),
    amount          bigint NOT NULL,
    request_id      text   COLLATE "C" NOT NULL DEFAULT '',
    reference       text   COLLATE "C" NOT NULL DEFAULT '',
    balance_after   bigint NOT NULL CHECK (balance_after >= 0),
    created_at      bigint NOT NULL,
    PRIMARY KEY (organization_id, id),
    CHECK (kind = 'charge' AND amount = -1 AND request_id <> '' OR kind = 'top_up' AND amount > 0 AND request_id = '')
);
CREATE UNIQUE INDEX ledger_request ON ledger (organization_id, request_id) WHERE request_id <> '';
CREATE UNIQUE INDEX ledger_reference ON ledger (organization_id, reference) WHERE reference <> '';
-- Nobody changes a line: what was wrong is put right by another line.
-- only: postgres
CREATE FUNCTION ledger_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER ledger_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger EXECUTE FUNCTION ledger_stays();
-- only: sqlite
CREATE TRIGGER ledger_stays_updated BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_stays_deleted BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
-- only: end

------------------------------------------------------------------------ users

-- The users of an organization, by address. company, country, department and
-- seniority are what the colleague search compares by.
CREATE TABLE users (
    id              text    COLLATE "C" NOT NULL,
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
    tags            text    NOT NULL DEFAULT '',
    removed         integer NOT NULL DEFAULT 0 CHECK (removed IN (0, 1)),
    sequences       text    NOT NULL DEFAULT '',
    version         bigint  NOT NULL DEFAULT 1,
    created_at      bigint  NOT NULL,
    updated_at      bigint  NOT NULL,
    PRIMARY KEY (id, organization_id)
);
CREATE UNIQUE INDEX users_email ON users (organization_id, email_key);
-- The list of users goes by id. The condition is always true. It keeps the index to the
-- statements that say it: on a table that was empty when a statement was planned,
-- PostgreSQL took this index for users_email and read all users of an organization for
-- each address.
CREATE INDEX users_organization ON users (organization_id, id) WHERE id <> '';
-- One index for each part of a company that the search reads, newest first, see
-- store/candidate.go. The joined keys let each part fit one index alone: with columns
-- apart, PostgreSQL, which plans for the average company, would take another for the
-- largest. The organization is part of the joined key, so no other index fits a part,
-- whatever the planner knows of the table. A user's time is created_at, which no update
-- moves.
CREATE INDEX users_office ON users ((organization_id || '/' || company || '/' || country || '/' || department), created_at DESC, id) WHERE company <> '';
CREATE INDEX users_country ON users ((organization_id || '/' || company || '/' || country), created_at DESC, id) WHERE company <> '';
CREATE INDEX users_department ON users ((organization_id || '/' || company || '/' || department), created_at DESC, id) WHERE company <> '';

-- What is known of a user's wish to be written to. source says who told it, and
-- connection_id which connection's platform, '' where the organization did. everywhere
-- says that other platforms follow. stated_at is when the person said it: an older
-- statement never replaces a newer one.
CREATE TABLE consents (
    user_id         text    COLLATE "C" NOT NULL,
    channel         text    COLLATE "C" NOT NULL CHECK (channel IN ('email', 'sms')),
    organization_id text    COLLATE "C" NOT NULL,
    status          text    NOT NULL CHECK (status IN ('subscribed', 'unsubscribed', 'unknown')),
    source          text    NOT NULL,
    connection_id   text    COLLATE "C" NOT NULL DEFAULT '',
    everywhere      integer NOT NULL DEFAULT 0 CHECK (everywhere IN (0, 1)),
    stated_at       bigint  NOT NULL CHECK (stated_at > 0),
    updated_at      bigint  NOT NULL,
    PRIMARY KEY (user_id, channel, organization_id),
    FOREIGN KEY (user_id, organization_id) REFERENCES users (id, organization_id) ON DELETE CASCADE
);

-- What a user signs in with. password is an argon2id hash, '' for none. verified_at is
-- when the user showed that the address is theirs. pending says that the registration
-- counts only then.
CREATE TABLE logins (
    user_id         text    COLLATE "C" NOT NULL,
    organization_id text    COLLATE "C" NOT NULL,
    password        text    NOT NULL DEFAULT '',
    verified_at     bigint  NOT NULL DEFAULT 0,
    pending         integer NOT NULL DEFAULT 0 CHECK (pending IN (0, 1)),
    updated_at      bigint  NOT NULL,
    PRIMARY KEY (user_id, organization_id),
    CHECK (pending = 0 OR verified_at = 0),
    FOREIGN KEY (user_id, organization_id) REFERENCES users (id, organization_id) ON DELETE CASCADE
);

-- The codes by which people show that an address is theirs, the last of each purpose. person
-- is a keyed hash of the address. The code is not stored: it follows from nonce by a key of
-- the organization, that of the sealing key key_id. user_id is '' where nobody has the
-- address: such a row is written all the same, so that nobody can tell.
CREATE TABLE login_codes (
    organization_id text    COLLATE "C" NOT NULL,
    person          text    COLLATE "C" NOT NULL,
    purpose         text    COLLATE "C" NOT NULL CHECK (purpose IN ('verification', 'password')),
    nonce           text    COLLATE "C" NOT NULL,
    key_id          text    NOT NULL,
    user_id         text    COLLATE "C" NOT NULL DEFAULT '',
    return_url      text    NOT NULL DEFAULT '',
    tries           integer NOT NULL DEFAULT 0,
    expires_at      bigint  NOT NULL,
    PRIMARY KEY (organization_id, person, purpose),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX login_codes_expires ON login_codes (expires_at);

-- How often something was tried lately: what, and for or by whom, as a keyed hash. reached_at
-- is when no try counts any more.
CREATE TABLE login_tries (
    organization_id text   COLLATE "C" NOT NULL,
    what            text   COLLATE "C" NOT NULL,
    who             text   COLLATE "C" NOT NULL,
    reached_at      bigint NOT NULL,
    PRIMARY KEY (organization_id, what, who),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX login_tries_reached ON login_tries (reached_at);

-- What an identity provider has provisioned of a user by SCIM: resource is what it said, as
-- JSON. user_name and addresses are in lower case, the addresses with blanks around each.
CREATE TABLE scim_users (
    user_id         text   COLLATE "C" NOT NULL,
    organization_id text   COLLATE "C" NOT NULL,
    user_name       text   COLLATE "C" NOT NULL,
    external_id     text   COLLATE "C" NOT NULL DEFAULT '',
    addresses       text   NOT NULL DEFAULT '',
    resource        text   NOT NULL,
    version         bigint NOT NULL DEFAULT 1,
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL,
    PRIMARY KEY (user_id, organization_id),
    FOREIGN KEY (user_id, organization_id) REFERENCES users (id, organization_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX scim_users_name ON scim_users (organization_id, user_name);
CREATE INDEX scim_users_external ON scim_users (organization_id, external_id) WHERE external_id <> '';
CREATE INDEX scim_users_list ON scim_users (organization_id, created_at, user_id);

-- The groups that were provisioned, without their members. name_key is the name in lower
-- case.
CREATE TABLE scim_groups (
    id              text   COLLATE "C" NOT NULL,
    organization_id text   COLLATE "C" NOT NULL,
    name            text   NOT NULL,
    name_key        text   COLLATE "C" NOT NULL,
    external_id     text   COLLATE "C" NOT NULL DEFAULT '',
    resource        text   NOT NULL,
    version         bigint NOT NULL DEFAULT 1,
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL,
    PRIMARY KEY (id, organization_id)
);
CREATE UNIQUE INDEX scim_groups_name ON scim_groups (organization_id, name_key);
CREATE INDEX scim_groups_external ON scim_groups (organization_id, external_id) WHERE external_id <> '';
CREATE INDEX scim_groups_list ON scim_groups (organization_id, created_at, id);

-- Who is in which group.
CREATE TABLE scim_members (
    group_id        text COLLATE "C" NOT NULL,
    user_id         text COLLATE "C" NOT NULL,
    organization_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (group_id, user_id, organization_id),
    FOREIGN KEY (group_id, organization_id) REFERENCES scim_groups (id, organization_id) ON DELETE CASCADE,
    FOREIGN KEY (user_id, organization_id) REFERENCES scim_users (user_id, organization_id) ON DELETE CASCADE
);
CREATE INDEX scim_members_user ON scim_members (user_id, group_id);

-- What happened to a user, by whom or what. caused_by says, by ids, which run of a
-- follow-up triggered it; outcome why which follow-ups were not set off. actions counts
-- what all has come of a client's event.
CREATE TABLE events (
    id              text   COLLATE "C" NOT NULL,
    organization_id text   COLLATE "C" NOT NULL,
    user_id         text   COLLATE "C" NOT NULL DEFAULT '',
    type            text   NOT NULL,
    source          text   NOT NULL,
    cause           text   NOT NULL DEFAULT '',
    attributes      text   NOT NULL DEFAULT '',
    caused_by       text   NOT NULL DEFAULT '',
    outcome         text   NOT NULL DEFAULT '',
    actions         integer NOT NULL DEFAULT 0,
    created_at      bigint NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX events_user ON events (user_id, id);
-- Only rare events have an index by type: every request may write the two others.
CREATE INDEX events_type ON events ((organization_id || '/' || type), id) WHERE type NOT IN ('user.created', 'user.updated');

------------------------------------------------------------------------ follow-ups

-- What is to happen after an event: trigger, condition and actions, as the organization
-- wrote them. version counts the definitions that there were.
CREATE TABLE follow_ups (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    name            text   NOT NULL,
    status          text   NOT NULL CHECK (status IN ('active', 'paused')),
    definition      text   NOT NULL,
    version         bigint NOT NULL,
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL,
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX follow_ups_organization ON follow_ups (organization_id, id);

-- The definitions that a follow-up has had, the present one included: what has begun goes
-- on by the one that it began with.
CREATE TABLE follow_up_versions (
    follow_up_id    text   COLLATE "C" NOT NULL,
    version         bigint NOT NULL,
    organization_id text   COLLATE "C" NOT NULL,
    definition      text   NOT NULL,
    actor           text   NOT NULL,
    created_at      bigint NOT NULL,
    PRIMARY KEY (follow_up_id, version),
    FOREIGN KEY (follow_up_id) REFERENCES follow_ups (id) ON DELETE CASCADE
);

-- The values of the headers of a webhook, sealed: JSON by name. The id is made of the version,
-- the place of the action and the address that they are for.
CREATE TABLE follow_up_headers (
    id              text   COLLATE "C" NOT NULL,
    organization_id text   COLLATE "C" NOT NULL,
    follow_up_id    text   COLLATE "C" NOT NULL,
    version         bigint NOT NULL,
    sealed          text   NOT NULL,
    PRIMARY KEY (id, organization_id),
    FOREIGN KEY (follow_up_id, version) REFERENCES follow_up_versions (follow_up_id, version) ON DELETE CASCADE
);
CREATE INDEX follow_up_headers_version ON follow_up_headers (follow_up_id, version);

-- The runs of follow-ups: how far each has come, and what its actions did. position is the
-- number of the step that is next. root_id is the event of a client that it all began
-- with, and hops counts the follow-ups in between. revision rises with every change.
CREATE TABLE follow_up_runs (
    id              text    COLLATE "C" NOT NULL,
    organization_id text    COLLATE "C" NOT NULL,
    follow_up_id    text    COLLATE "C" NOT NULL,
    version         bigint  NOT NULL,
    event_id        text    COLLATE "C" NOT NULL,
    user_id         text    COLLATE "C" NOT NULL DEFAULT '',
    root_id         text    COLLATE "C" NOT NULL,
    task_id         text    COLLATE "C" NOT NULL,
    hops            integer NOT NULL DEFAULT 0,
    status          text    NOT NULL CHECK (status IN ('running', 'waiting', 'succeeded', 'failed', 'replaced', 'ignored', 'skipped')),
    position        integer NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,
    due_at          bigint  NOT NULL DEFAULT 0,
    responses       text    NOT NULL DEFAULT '',
    story           text    NOT NULL DEFAULT '',
    error           text    NOT NULL DEFAULT '',
    revision        bigint  NOT NULL DEFAULT 1,
    created_at      bigint  NOT NULL,
    updated_at      bigint  NOT NULL,
    finished_at     bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (id, organization_id)
);
CREATE INDEX follow_up_runs_event ON follow_up_runs (event_id, id);
CREATE INDEX follow_up_runs_user ON follow_up_runs (user_id, id) WHERE user_id <> '';
CREATE INDEX follow_up_runs_open ON follow_up_runs (user_id, follow_up_id, id) WHERE finished_at = 0;
CREATE INDEX follow_up_runs_root ON follow_up_runs (root_id) WHERE finished_at = 0;

------------------------------------------------------------------------ erasures

-- The receipt of an erasure. swept_at is when what we hold ourselves was gone; the
-- platforms may take longer.
CREATE TABLE erasures (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    user_id         text   COLLATE "C" NOT NULL,
    status          text   NOT NULL CHECK (status IN ('running', 'succeeded')),
    removed         text   NOT NULL DEFAULT '',
    platforms       text   NOT NULL DEFAULT '',
    created_at      bigint NOT NULL,
    swept_at        bigint NOT NULL DEFAULT 0,
    finished_at     bigint NOT NULL DEFAULT 0,
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX erasures_organization ON erasures (organization_id, id);

-- Who must never be found again: a keyed hash of the address, not the address.
CREATE TABLE erased (
    organization_id text   COLLATE "C" NOT NULL,
    person          text   COLLATE "C" NOT NULL,
    created_at      bigint NOT NULL,
    PRIMARY KEY (organization_id, person),
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

------------------------------------------------------------------------ colleagues

-- The colleagues that were found or made by hand. invited_by is the e-mail key of who
-- made the colleague by hand. company, department and seniority are what the search
-- compares by; company is set for colleagues made by hand only: the others were found
-- among users and people, who are searched themselves.
CREATE TABLE colleagues (
    id               text    COLLATE "C" NOT NULL,
    organization_id  text    COLLATE "C" NOT NULL,
    email_key        text    COLLATE "C" NOT NULL,
    email            text    NOT NULL,
    name             text    NOT NULL DEFAULT '',
    job_title        text    NOT NULL DEFAULT '',
    status           text    NOT NULL CHECK (status IN ('pending', 'invited', 'joined', 'deleted')),
    company          text    COLLATE "C" NOT NULL DEFAULT '',
    department       text    COLLATE "C" NOT NULL DEFAULT '',
    seniority        integer NOT NULL DEFAULT 0,
    company_name     text    NOT NULL DEFAULT '',
    website          text    NOT NULL DEFAULT '',
    invite_link      text    NOT NULL DEFAULT '',
    redirection_link text    NOT NULL DEFAULT '',
    photo            text    NOT NULL DEFAULT '',
    team             bigint  NOT NULL DEFAULT 0,
    invited_by       text    COLLATE "C" NOT NULL DEFAULT '',
    latest_action    bigint  NOT NULL DEFAULT 0,
    created_at       bigint  NOT NULL,
    updated_at       bigint  NOT NULL,
    PRIMARY KEY (id, organization_id)
);
CREATE UNIQUE INDEX colleagues_email ON colleagues (organization_id, email_key);
CREATE INDEX colleagues_company ON colleagues ((organization_id || '/' || company || '/' || department), created_at DESC, id) WHERE company <> '';
CREATE INDEX colleagues_inviter ON colleagues (organization_id, invited_by) WHERE invited_by <> '';

-- Which user a colleague was found for, with the score and the reasons.
CREATE TABLE colleague_links (
    user_id         text   COLLATE "C" NOT NULL,
    colleague_id    text   COLLATE "C" NOT NULL,
    organization_id text   COLLATE "C" NOT NULL,
    score           double precision NOT NULL,
    reasons         text   NOT NULL,
    created_at      bigint NOT NULL,
    PRIMARY KEY (user_id, colleague_id, organization_id)
);
CREATE INDEX colleague_links_colleague ON colleague_links (colleague_id, user_id);

-- What a directory service said of a company. It is asked again after expires_at.
CREATE TABLE source_answers (
    organization_id text   COLLATE "C" NOT NULL,
    source          text   COLLATE "C" NOT NULL,
    company         text   COLLATE "C" NOT NULL,
    answer          text   NOT NULL,
    expires_at      bigint NOT NULL,
    PRIMARY KEY (organization_id, source, company)
);
CREATE INDEX source_answers_expires ON source_answers (expires_at);

------------------------------------------------------------------------ people

-- The people that an organization imported for the colleague search. The indexes are
-- those of users; a person's time is updated_at.
CREATE TABLE people (
    id              text    COLLATE "C" NOT NULL,
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
    updated_at      bigint  NOT NULL,
    PRIMARY KEY (id, organization_id)
);
CREATE UNIQUE INDEX people_email ON people (organization_id, email_key);
CREATE INDEX people_office ON people ((organization_id || '/' || company || '/' || country || '/' || department), updated_at DESC, id) WHERE company <> '';
CREATE INDEX people_country ON people ((organization_id || '/' || company || '/' || country), updated_at DESC, id) WHERE company <> '';
CREATE INDEX people_department ON people ((organization_id || '/' || company || '/' || department), updated_at DESC, id) WHERE company <> '';

-- One upload of people, and how far it has come.
CREATE TABLE imports (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    status          text   NOT NULL CHECK (status IN ('receiving', 'queued', 'running', 'succeeded', 'failed')),
    format          text   NOT NULL CHECK (format IN ('csv', 'ndjson')),
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

-- The lines of an upload that wait to be stored. A chunk is deleted in the transaction
-- that stores its people, so no line is taken twice.
CREATE TABLE import_chunks (
    import_id text    COLLATE "C" NOT NULL,
    number    integer NOT NULL,
    body      text    NOT NULL,
    PRIMARY KEY (import_id, number),
    FOREIGN KEY (import_id) REFERENCES imports (id) ON DELETE CASCADE
);

-- The lines of an upload that were refused, and why.
CREATE TABLE import_errors (
    import_id text   COLLATE "C" NOT NULL,
    line      bigint NOT NULL,
    position  integer NOT NULL,
    field     text   NOT NULL,
    message   text   NOT NULL,
    PRIMARY KEY (import_id, line, position),
    FOREIGN KEY (import_id) REFERENCES imports (id) ON DELETE CASCADE
);

------------------------------------------------------------------------ requests

-- What was accepted and is worked. sequence is the order of acceptance. task_id names
-- the outbox row that works the request: whoever holds that row's claim may write here
-- (ADR 0001). notable is the status, unless it is that of a request that goes well.
CREATE TABLE requests (
    organization_id text    COLLATE "C" NOT NULL,
    id              text    COLLATE "C" NOT NULL,
    kind            text    NOT NULL CHECK (kind IN ('user-sync', 'platform-sync', 'platform-bulk', 'event')),
    status          text    NOT NULL CHECK (status IN ('queued', 'processing', 'awaiting_credits', 'succeeded', 'partially_succeeded', 'failed')),
    user_id         text    COLLATE "C" NOT NULL,
    email           text    NOT NULL,
    sequence        bigint  NOT NULL,
    input           text    NOT NULL,
    task_id         text    COLLATE "C" NOT NULL,
    traceparent     text    NOT NULL DEFAULT '',
    run             integer NOT NULL DEFAULT 1,
    charged         bigint  NOT NULL DEFAULT 0 CHECK (charged IN (0, 1)),
    created_at      bigint  NOT NULL,
    started_at      bigint  NOT NULL DEFAULT 0,
    finished_at     bigint  NOT NULL DEFAULT 0,
-- only: postgres
    notable         text COLLATE "C" NOT NULL GENERATED ALWAYS AS (CASE WHEN status IN ('queued', 'succeeded') THEN '' ELSE status END) STORED,
-- only: sqlite
    notable         text NOT NULL GENERATED ALWAYS AS (CASE WHEN status IN ('queued', 'succeeded') THEN '' ELSE status END) VIRTUAL,
-- only: end
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX requests_user ON requests (user_id, id);
-- What is rare among requests has indexes of its own, which the usual request, that is
-- queued and then succeeded, is never in. They ask for notable and not for status: an
-- update that leaves notable empty leaves all indexes alone. The joined keys keep the
-- lists in the order of ids to them, whatever the planner knows.
CREATE INDEX requests_notable ON requests ((organization_id || '/' || kind || '/' || notable), id) WHERE notable <> '';
CREATE INDEX requests_user_notable ON requests ((user_id || '/' || notable), id) WHERE notable <> '';
CREATE INDEX requests_kind ON requests ((organization_id || '/' || kind), id) WHERE kind <> 'user-sync';

-- The steps of a request, each with its outcome. tries are the last attempts at the push
-- of a step, a line of JSON each, the newest first (ADR 0023).
CREATE TABLE steps (
    request_id      text    COLLATE "C" NOT NULL,
    position        integer NOT NULL,
    organization_id text    COLLATE "C" NOT NULL,
    name            text    NOT NULL CHECK (name IN ('colleagues', 'platform', 'followups')),
    platform        text    NOT NULL DEFAULT '',
    connection_id   text    COLLATE "C" NOT NULL DEFAULT '',
    status          text    NOT NULL CHECK (status IN ('pending', 'retrying', 'awaiting_credits', 'succeeded', 'would_sync', 'synced', 'unchanged', 'skipped', 'failed')),
    reason          text    NOT NULL DEFAULT '',
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at bigint  NOT NULL DEFAULT 0,
    details         text    NOT NULL DEFAULT '',
    error_code      text    NOT NULL DEFAULT '',
    error_message   text    NOT NULL DEFAULT '',
    found           text    NOT NULL DEFAULT '',
    tries           text    NOT NULL DEFAULT '',
    updated_at      bigint  NOT NULL,
    PRIMARY KEY (request_id, position, organization_id),
    FOREIGN KEY (organization_id, request_id) REFERENCES requests (organization_id, id)
);
-- Requests are listed by connection, and by what did not go well: steps of neither, as
-- nearly all are of organizations without connections, are in none of these.
CREATE INDEX steps_connection ON steps (connection_id, request_id) WHERE connection_id <> '';
CREATE INDEX steps_connection_wrong ON steps (connection_id, request_id) WHERE connection_id <> '' AND error_code <> '';
CREATE INDEX steps_wrong ON steps (organization_id, error_code, request_id) WHERE error_code <> '';

-- What was answered to a call with an Idempotency-Key.
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

-- The last acceptance number given out, see store.Accept.
-- only: sqlite
CREATE TABLE acceptance (
    one    integer NOT NULL PRIMARY KEY CHECK (one = 1),
    number bigint  NOT NULL
);
INSERT INTO acceptance (one, number) VALUES (1, 0);
-- only: postgres
CREATE SEQUENCE acceptance;
-- only: end

------------------------------------------------------------------------ outbox

-- A row is one task: ready (to be put on the queue), sent (it is there, or a worker has
-- it), scheduled (not before look_at), parked (until credits come, at the latest at
-- look_at), held (until its organization is enabled), poisoned (until an operator has it
-- retried). look_at of a sent row is when it counts as lost. deaths counts the claims in a
-- row that ran out, since their worker died. Finished tasks are deleted.
CREATE TABLE outbox (
    id              text    COLLATE "C" NOT NULL,
    organization_id text    COLLATE "C" NOT NULL,
    kind            text    NOT NULL,
    queue           text    COLLATE "C" NOT NULL,
    fairness_key    text    COLLATE "C" NOT NULL,
    args            text    NOT NULL,
    traceparent     text    NOT NULL DEFAULT '',
    state           text    COLLATE "C" NOT NULL CHECK (state IN ('ready', 'sent', 'scheduled', 'parked', 'held', 'poisoned')),
    generation      bigint  NOT NULL DEFAULT 1,
    look_at         bigint  NOT NULL DEFAULT 0,
    claim_token     text    COLLATE "C" NOT NULL DEFAULT '',
    claimed_until   bigint  NOT NULL DEFAULT 0,
    started_at      bigint  NOT NULL DEFAULT 0,
    failures        integer NOT NULL DEFAULT 0,
    deaths          integer NOT NULL DEFAULT 0,
    created_at      bigint  NOT NULL,
    PRIMARY KEY (id, organization_id)
);
CREATE INDEX outbox_ready ON outbox (queue, organization_id, fairness_key, id) WHERE state = 'ready';
CREATE INDEX outbox_sent ON outbox (queue, organization_id, fairness_key) WHERE state = 'sent';
CREATE INDEX outbox_scheduled ON outbox (queue, fairness_key, id) WHERE state = 'scheduled';
CREATE INDEX outbox_parked ON outbox (organization_id, id) WHERE state = 'parked';
CREATE INDEX outbox_held ON outbox (organization_id, id) WHERE state = 'held';
CREATE INDEX outbox_poisoned ON outbox (queue, fairness_key, id) WHERE state = 'poisoned';
CREATE INDEX outbox_look ON outbox (look_at) WHERE state <> 'ready';

------------------------------------------------------------------------ webhooks

-- Where an organization's webhooks go. The secrets are sealed; old_secret signs beside
-- secret until old_secret_until. version rises with every change but that of failing_since
-- and that of the key that seals: whoever remembers an endpoint compares it.
CREATE TABLE webhook_endpoints (
    id               text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id  text   COLLATE "C" NOT NULL,
    url              text   NOT NULL,
    event_types      text   NOT NULL,
    description      text   NOT NULL DEFAULT '',
    status           text   NOT NULL CHECK (status IN ('enabled', 'disabled')),
    disabled_reason  text   NOT NULL DEFAULT '',
    signing          text   NOT NULL DEFAULT 'v1' CHECK (signing IN ('v1', 'v1a')),
    secret           text   NOT NULL,
    old_secret       text   NOT NULL DEFAULT '',
    old_secret_until bigint NOT NULL DEFAULT 0,
    failing_since    bigint NOT NULL DEFAULT 0,
    created_at       bigint NOT NULL,
    updated_at       bigint NOT NULL,
    version          bigint NOT NULL DEFAULT 1,
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX webhook_endpoints_organization ON webhook_endpoints (organization_id, id);

-- The messages that webhooks carry, each with the bytes that are sent. The unique index
-- allows one message for a number of the organization's sequence.
CREATE TABLE messages (
    id              text   COLLATE "C" NOT NULL,
    organization_id text   COLLATE "C" NOT NULL,
    type            text   NOT NULL,
    request_id      text   COLLATE "C" NOT NULL DEFAULT '',
    sequence        bigint NOT NULL,
    body            text   NOT NULL,
    traceparent     text   NOT NULL DEFAULT '',
    created_at      bigint NOT NULL,
    PRIMARY KEY (id, organization_id)
);
CREATE UNIQUE INDEX messages_sequence ON messages (organization_id, sequence);

-- One message on its way to one endpoint. The id is the message's with the end of the
-- endpoint's, so that a message's deliveries are a range, and so that the primary key
-- allows one delivery of a message to an endpoint. task_id names the outbox row that
-- delivers: only whoever holds that row's claim decides how the delivery goes on (ADR 0009).
-- earlier_attempts were made before it was last sent again: the schedule counts from
-- there. failed_at is 0 while a delivery has not failed.
CREATE TABLE deliveries (
    id               text    COLLATE "C" NOT NULL,
    organization_id  text    COLLATE "C" NOT NULL,
    message_id       text    COLLATE "C" NOT NULL,
    endpoint_id      text    COLLATE "C" NOT NULL,
    task_id          text    NOT NULL DEFAULT '',
    type             text    NOT NULL,
    status           text    NOT NULL CHECK (status IN ('pending', 'retrying', 'delivered', 'failed')),
    attempts         text    NOT NULL DEFAULT '',
    attempt_count    integer NOT NULL DEFAULT 0,
    earlier_attempts integer NOT NULL DEFAULT 0,
    next_attempt_at  bigint  NOT NULL DEFAULT 0,
    failed_at        bigint  NOT NULL DEFAULT 0,
    created_at       bigint  NOT NULL,
    updated_at       bigint  NOT NULL,
    CHECK (id = 'del' || substr(message_id, 4) || substr(endpoint_id, 23)),
    PRIMARY KEY (id, organization_id)
);
CREATE INDEX deliveries_endpoint ON deliveries (endpoint_id, id);
-- These ask for failed_at and next_attempt_at rather than for status: a delivery that
-- arrives at once changes neither, so its update leaves the indexes alone.
CREATE INDEX deliveries_failed ON deliveries (endpoint_id, id) WHERE failed_at > 0;
CREATE INDEX deliveries_failed_window ON deliveries (endpoint_id, created_at, id) WHERE failed_at > 0;
CREATE INDEX deliveries_retrying ON deliveries (endpoint_id, id) WHERE next_attempt_at > 0;

------------------------------------------------------------------------ connections

-- One account at one platform. credentials are sealed.
CREATE TABLE connections (
    id              text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    platform        text   NOT NULL,
    name            text   NOT NULL,
    status          text   NOT NULL CHECK (status IN ('active', 'paused', 'disconnected', 'deleted')),
    reason          text   NOT NULL DEFAULT '',
    settings        text   NOT NULL DEFAULT '{}',
    credentials     text   NOT NULL,
    facts           text   NOT NULL DEFAULT '',
    checked_at      bigint NOT NULL DEFAULT 0,
    throttled_until bigint NOT NULL DEFAULT 0, -- until when the platform wants no calls
    created_at      bigint NOT NULL,
    updated_at      bigint NOT NULL,
    FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX connections_organization ON connections (organization_id, id);

-- The secret address at which the platform of a connection may call. hash finds out
-- whether a call knows it; the secret itself is not stored.
CREATE TABLE inbounds (
    connection_id   text   COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL,
    hash            text   COLLATE "C" NOT NULL,
    created_at      bigint NOT NULL,
    FOREIGN KEY (connection_id) REFERENCES connections (id) ON DELETE CASCADE
);

-- What a platform has told of a person and no worker has taken in yet. The person is
-- known by address, by our id, or by the platform's own; id is made of what was told, so
-- that the same call twice is one row.
CREATE TABLE signals (
    connection_id   text   COLLATE "C" NOT NULL,
    id              text   COLLATE "C" NOT NULL,
    organization_id text   COLLATE "C" NOT NULL,
    email_key       text   COLLATE "C" NOT NULL DEFAULT '',
    user_id         text   COLLATE "C" NOT NULL DEFAULT '',
    remote          text   NOT NULL DEFAULT '',
    channel         text   NOT NULL CHECK (channel IN ('email', 'sms')),
    status          text   NOT NULL CHECK (status IN ('subscribed', 'unsubscribed')),
    reason          text   NOT NULL DEFAULT '',
    stated_at       bigint NOT NULL CHECK (stated_at > 0),
    created_at      bigint NOT NULL,
    PRIMARY KEY (connection_id, id, organization_id),
    FOREIGN KEY (connection_id) REFERENCES connections (id) ON DELETE CASCADE
);
CREATE INDEX signals_person ON signals (organization_id, email_key) WHERE email_key <> '';

-- One user at one connection: which version the platform is to have, which it
-- has, and since when something is due. due_at 0: nothing is to be done. status:
--   idle        the platform has pushed_version, or the connection is not active
--   pending     to be pushed at due_at
--   calling     a call is under way; if nobody says how it ended, it is made again at due_at
--   confirming  the platform works on job; it is asked again at due_at
-- wanted_at is when the oldest unmet wish came. sent_version and sent_hash are
-- what job will have pushed. dirty says that a worker that had lost its claim may
-- have written there: what is pushed now is to be pushed once more.
-- absent says that the person is to be taken off the platform: the newest wish was that.
-- former is the address that the platform still has of a person who has another one now.
-- away says that the user was taken off the connection's list by a call: only another
-- call about them brings them back.
-- deaths counts the workers in a row that died while they called about this user.
-- error_code and error_message are of the last try, where it did not go well.
-- removal is set when the person was erased: the sealed address that is to be
-- removed there, with the erasure that wants to know.
CREATE TABLE pushes (
    connection_id   text    COLLATE "C" NOT NULL,
    user_id         text    COLLATE "C" NOT NULL,
    organization_id text    COLLATE "C" NOT NULL,
    status          text    NOT NULL DEFAULT 'idle' CHECK (status IN ('idle', 'pending', 'calling', 'confirming')),
    rank            integer NOT NULL DEFAULT 1 CHECK (rank IN (0, 1, 2)),
    due_at          bigint  NOT NULL DEFAULT 0,
    wanted_version  bigint  NOT NULL DEFAULT 0,
    wanted_at       bigint  NOT NULL DEFAULT 0,
    pushed_version  bigint  NOT NULL DEFAULT 0,
    pushed_hash     text    NOT NULL DEFAULT '',
    pushed_at       bigint  NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,
    error_code      text    NOT NULL DEFAULT '',
    error_message   text    NOT NULL DEFAULT '',
    remote          text    NOT NULL DEFAULT '',
    job             text    NOT NULL DEFAULT '',
    sent_version    bigint  NOT NULL DEFAULT 0,
    sent_hash       text    NOT NULL DEFAULT '',
    dirty           integer NOT NULL DEFAULT 0 CHECK (dirty IN (0, 1)),
    absent          integer NOT NULL DEFAULT 0 CHECK (absent IN (0, 1)),
    former          text    NOT NULL DEFAULT '',
    away            integer NOT NULL DEFAULT 0 CHECK (away IN (0, 1)),
    deaths          integer NOT NULL DEFAULT 0,
    removal         text    NOT NULL DEFAULT '',
    erasure_id      text    COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (connection_id, user_id, organization_id)
);
CREATE INDEX pushes_due ON pushes (connection_id, rank, due_at, user_id) WHERE due_at > 0;
CREATE INDEX pushes_user ON pushes (user_id, connection_id);
CREATE INDEX pushes_calling ON pushes (connection_id) WHERE status = 'calling';

-- Who waits for a push: a step of a request, or one user of a bulk (position -1).
-- Rows of mode once and preview are work of their own, due at due_at; a state
-- is met when the push reaches version, an absence when the person was taken off the
-- platform. A row is deleted in the transaction that writes its outcome.
CREATE TABLE push_waits (
    connection_id   text    COLLATE "C" NOT NULL,
    user_id         text    COLLATE "C" NOT NULL,
    request_id      text    COLLATE "C" NOT NULL,
    organization_id text    COLLATE "C" NOT NULL,
    position        integer NOT NULL,
    mode            text    NOT NULL CHECK (mode IN ('state', 'once', 'preview', 'absence')),
    version         bigint  NOT NULL,
    rank            integer NOT NULL DEFAULT 1 CHECK (rank IN (0, 1, 2)),
    due_at          bigint  NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,
    job             text    NOT NULL DEFAULT '',
    created_at      bigint  NOT NULL,
    PRIMARY KEY (connection_id, user_id, request_id, organization_id)
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
    again           integer NOT NULL DEFAULT 0 CHECK (again IN (0, 1)),
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
    updated_at      bigint NOT NULL,
    FOREIGN KEY (organization_id, request_id) REFERENCES requests (organization_id, id)
);

-- The users of a bulk that failed or were skipped, and why.
CREATE TABLE bulk_errors (
    request_id      text   COLLATE "C" NOT NULL,
    user_id         text   COLLATE "C" NOT NULL,
    organization_id text   COLLATE "C" NOT NULL,
    status          text   NOT NULL CHECK (status IN ('failed', 'skipped', 'again')),
    code            text   NOT NULL,
    message         text   NOT NULL,
    created_at      bigint NOT NULL,
    PRIMARY KEY (request_id, user_id, organization_id)
);
CREATE INDEX bulk_errors_user ON bulk_errors (user_id);

------------------------------------------------------------------------ storage

-- Room in each page lets the one or two updates of a row's life stay beside it and leave
-- the indexes alone.
-- only: postgres
ALTER TABLE requests SET (fillfactor = 45);
ALTER TABLE deliveries SET (fillfactor = 45);
ALTER TABLE users SET (fillfactor = 85);
ALTER TABLE outbox SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
ALTER TABLE balances SET (fillfactor = 20);
-- only: end

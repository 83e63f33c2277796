package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"usersync/internal/commands"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// keyVariable names the environment variable that holds the API key, so that it
// need not stand in a command line that others can read.
const keyVariable = "USERSYNC_API_KEY"

func syncFile() *cobra.Command {
	job := &syncJob{client: newSyncClient()}
	var key, base string
	command := &cobra.Command{
		Use:   "sync FILE",
		Short: "Send the users of a CSV or NDJSON file to a running service, and tell how it ended",
		Long: `Send the users of a CSV or NDJSON file to a running service, and tell how it ended.

Columns are matched by name: email, country, firstName, lastName, name, jobTitle, inviteLink, and what people call them;
the others become attributes. An interrupted run goes on where it was when it is started again, and no user is accepted
twice. Refused users are listed in FILE.errors.csv. The exit status is 1 when a user failed or was refused.`,
		Example: "  " + keyVariable + "=usk_… usersync sync examples/users.csv",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if key == "" {
				key = os.Getenv(keyVariable)
			}
			if key == "" {
				return commands.Misused(errors.New("no API key: set " + keyVariable + " or use --key"))
			}
			job.client.base, job.client.key = strings.TrimRight(base, "/"), usersync.NewSecret(key)
			job.setFile(args[0])
			job.out, job.progress = c.OutOrStdout(), newProgress(os.Stderr)
			job.client.tell = job.progress.note
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return job.run(ctx)
		},
	}
	flags := command.Flags()
	flags.StringVar(&base, "url", "http://127.0.0.1:8080", "where the service is")
	flags.StringVar(&key, "key", "", "API key; better: the environment variable "+keyVariable)
	flags.IntVar(&job.concurrency, "concurrency", 4, "calls under way at once")
	flags.BoolVar(&job.resume, "resume", true, "go on where an interrupted run was; --resume=false begins anew")
	flags.BoolVar(&job.noWait, "no-wait", false, "do not wait until the requests are done")
	flags.StringVar(&job.state, "state", "", "where the run keeps its place; default: FILE.usersync-progress")
	return command
}

// syncJob is one file on its way.
type syncJob struct {
	file   string
	state  string // where it keeps its place
	errors string // where the refused users are listed

	client      *syncClient
	concurrency int
	resume      bool
	noWait      bool
	out         io.Writer
	progress    *progress
}

func (j *syncJob) setFile(file string) {
	j.file, j.errors = file, file+".errors.csv"
	if j.state == "" {
		j.state = file + ".usersync-progress"
	}
}

// errUnwell is what a run ends with in which not all went well.
var errUnwell = errors.New("not every user was synced, see above")

// run sends what is not sent yet, waits for the end and prints the summary.
func (j *syncJob) run(ctx context.Context) error {
	file, err := inspect(j.file)
	if err != nil {
		return fmt.Errorf("inspect the file: %w", err)
	}
	log, err := openJournal(j.state, journalHead{File: file.hash, URL: j.client.base, Began: time.Now()}, j.resume)
	if err != nil {
		return fmt.Errorf("open the record of progress: %w", err)
	}
	defer func() { _ = log.close() }()
	sent := &sending{job: j, hash: file.hash, lines: file.lines, journal: log}
	if err := sent.run(ctx); err != nil {
		return j.interrupted(ctx, log, err)
	}
	s := summary{accepted: len(log.requests()), refused: sent.refused()}
	if err := writeErrors(j.errors, s.refused); err != nil {
		return fmt.Errorf("list who was refused: %w", err)
	}
	if j.noWait {
		_, _ = fmt.Fprintf(j.out, "%d users accepted, %d refused; the same command without --no-wait tells how it ended\n", s.accepted, len(s.refused))
		return s.verdict()
	}
	if err := j.watch(ctx, log, &s); err != nil {
		return j.interrupted(ctx, log, err)
	}
	s.print(j.out, j.errors)
	if err := log.remove(); err != nil {
		return fmt.Errorf("remove the record of progress: %w", err)
	}
	return s.verdict()
}

// interrupted says what to do after a run that did not come to its end.
func (j *syncJob) interrupted(ctx context.Context, log *journal, err error) error {
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if log.empty() {
		return errors.Join(err, log.remove()) // there is nothing to go on from
	}
	return fmt.Errorf("%w; %d users are accepted so far, and the same command goes on from here", err, len(log.requests()))
}

// refusal is a user that was not accepted, or a line that could not be read.
type refusal struct {
	Line   int64  `json:"line"`
	Reason string `json:"reason"`
}

// summary is how it ended, by outcome.
type summary struct {
	accepted   int
	refused    []refusal
	outcomes   map[request.Status]int
	unknown    int // accepted and not to be found
	colleagues int
	charged    int64
	// unseen says why the outcomes are not known; "" when they are.
	unseen string
}

func (s summary) print(w io.Writer, errorsFile string) {
	_, _ = fmt.Fprintf(w, "%7d accepted\n", s.accepted)
	if s.unseen != "" {
		_, _ = fmt.Fprintf(w, "        what became of them is not known: %s\n", s.unseen)
	}
	for _, o := range []struct {
		name string
		n    int
	}{
		{"succeeded", s.outcomes[request.Succeeded]},
		{"partially succeeded", s.outcomes[request.PartiallySucceeded]},
		{"failed", s.outcomes[request.Failed]},
		{"awaiting credits", s.outcomes[request.AwaitingCredits]},
		{"waiting for a connection", s.outcomes[request.Processing]},
		{"not found any more", s.unknown},
	} {
		if o.n > 0 {
			_, _ = fmt.Fprintf(w, "%9d %s\n", o.n, o.name)
		}
	}
	if len(s.refused) > 0 {
		_, _ = fmt.Fprintf(w, "%7d refused, see %s\n", len(s.refused), errorsFile)
	}
	if s.unseen == "" {
		_, _ = fmt.Fprintf(w, "%7d colleagues found, %d credits charged\n", s.colleagues, s.charged)
	}
}

// verdict is nil when nothing failed and nobody was refused.
func (s summary) verdict() error {
	if len(s.refused)+s.outcomes[request.Failed]+s.outcomes[request.PartiallySucceeded] > 0 {
		return errUnwell
	}
	return nil
}

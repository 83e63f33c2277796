package request_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"usersync/internal/doctest"
	"usersync/internal/request"
)

//go:generate go test . -run PageIsCurrent -update

const statesPath = "../../docs/state-machine.md"

const statesHead = `# State machine

<!-- Written by "go generate ./internal/request" from request.Transitions and request.StatusOf. -->

## Requests

The diagram shows what each status of a request may become:

`

const statusesHead = `
A final status stays, unless somebody asks for a retry of what failed. ` + "`processing`" + ` is shown while a worker
holds the request's task; it is not written into the row ([ADR 0001](adr/0001-claims-on-the-outbox-row.md)).

| status | means | final | may become |
|---|---|---|---|
`

// statusMeanings says what each status of a request means.
var statusMeanings = map[request.Status]string{
	request.Queued:             "It is accepted, and no worker has it.",
	request.Processing:         "A worker has it.",
	request.AwaitingCredits:    "There is something to bill and no credit to bill it with.",
	request.Succeeded:          "Every step succeeded or was skipped.",
	request.PartiallySucceeded: "Some steps failed, others did not.",
	request.Failed:             "Every step failed.",
}

const stepsHead = `
## Steps

The status of a request follows from its steps. The first line that fits decides:

| a step waits | a step is unpaid | a step failed | a step is done | the request is |
|---|---|---|---|---|
`

const stepStatusesHead = `
| a step with the status | counts as |
|---|---|
`

// stepGroups names what a step counts as, by the status of a request that has
// only this step.
var stepGroups = map[request.Status]string{
	request.Processing:      "waits",
	request.AwaitingCredits: "unpaid",
	request.Failed:          "failed",
	request.Succeeded:       "done",
}

const restingSteps = `
A step whose connection is paused or disconnected is ` + "`" + `pending` + "`" + ` or ` + "`" + `retrying` + "`" + `, and waits. It is shown as ` + "`" + `skipped` + "`" + `, with the
reason ([ADR 0022](adr/0022-steps-wait-with-their-connection.md)).
`

const outboxStates = `
## Tasks

Tasks carry the work on requests and deliveries. They are rows of the outbox. The functions are those of
` + "`internal/outbox`" + `, ` + "`credit.Unpark`" + `, and those that wake tasks before their time: ` + "`wakePushes`" + ` of
` + "`internal/platform`" + ` and ` + "`makeReady`" + ` of ` + "`internal/delivery`" + `.

` + "```mermaid" + `
stateDiagram-v2
    [*] --> ready: Enqueue, due now
    [*] --> scheduled: Enqueue, due later
    [*] --> parked: Park
    [*] --> sent: EnqueueClaimed
    ready --> sent: TakeReady, ClaimCoalesced
    sent --> sent: Claim, ClaimCoalesced, Renew, Hold, Progress
    sent --> ready: Unsend, UnsendAll, Revive, Retake, Rearm, Await, Postpone, Release
    sent --> scheduled: Rearm, Await, Postpone, Release
    sent --> held: HoldBack
    ready --> held: HoldBack
    sent --> poisoned: Poison
    scheduled --> ready: Promote, wakePushes, makeReady
    parked --> ready: Unpark, Promote
    held --> ready: Resume, ResumeEnabled
    poisoned --> ready: RetryPoisoned
    sent --> [*]: Finish, Split
` + "```" + `

| state | means | leaves it when |
|---|---|---|
| ` + "`ready`" + ` | It is to be put on the queue. | the relay takes it |
| ` + "`sent`" + ` | It is on the queue, or a worker has claimed it: then ` + "`claim_token`" + ` is set and ` + "`claimed_until`" + ` lies ahead. | its worker writes the outcome (the row is deleted), hands it back or has it run again later; the relay could not put it on the queue; the queue lost it |
| ` + "`scheduled`" + ` | It is not worked before ` + "`look_at`" + `. | that time has come |
| ` + "`parked`" + ` | It waits for credits, at the longest until ` + "`look_at`" + `. | credits were added, or that time has come |
| ` + "`held`" + ` | Its organization is disabled. | the organization is enabled |
| ` + "`poisoned`" + ` | Three workers in a row died while they had it. The steps of its requests that wait say ` + "`stopped`" + `. | an operator has it retried |

Every run that ends without a final outcome raises ` + "`generation`" + `, and so does reviving a task that the queue
holds as dead. The generation is part of the id on the queue, so an old message finds nothing to claim.
`

// countsAs names what a step of a status counts as. One that leaves a failed
// step's request failed does not count.
func countsAs(s request.StepStatus) string {
	beside := statusOf(s, request.StepFailed)
	if beside == request.Failed && s != request.StepFailed {
		return "nothing"
	}
	return stepGroups[statusOf(s)]
}

// statesPage returns the page docs/state-machine.md.
func statesPage(t *testing.T) string {
	t.Helper()
	var page strings.Builder
	page.WriteString(statesHead)
	writeDiagram(&page)
	page.WriteString(statusesHead)
	for _, s := range request.Statuses {
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", s, statusMeanings[s], doctest.YesNo(s.Final()), quoted(request.Transitions[s]))
	}
	page.WriteString(stepsHead)
	writeFolding(&page, nil)
	page.WriteString(stepStatusesHead)
	for _, s := range doctest.Constants(t, "step.go", "StepStatus") {
		fmt.Fprintf(&page, "| `%s` | %s |\n", s, countsAs(request.StepStatus(s)))
	}
	page.WriteString(restingSteps)
	page.WriteString(outboxStates)
	return page.String()
}

func writeDiagram(page *strings.Builder) {
	page.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> queued\n")
	for _, from := range request.Statuses {
		for _, to := range request.Transitions[from] {
			fmt.Fprintf(page, "    %s --> %s\n", from, to)
		}
	}
	page.WriteString("```\n")
}

func quoted(statuses []request.Status) string {
	if len(statuses) == 0 {
		return "–"
	}
	names := make([]string, len(statuses))
	for i, s := range statuses {
		names[i] = "`" + string(s) + "`"
	}
	return strings.Join(names, ", ")
}

// folded holds one step status of each group, in the order of the columns.
var folded = []request.StepStatus{request.StepPending, request.StepAwaitingCredits, request.StepFailed, request.StepSucceeded}

// writeFolding writes the shortest table of StatusOf: it asks for one group of
// steps after the other, until what is known of them decides.
func writeFolding(page *strings.Builder, known []bool) {
	statuses := foldings(known)
	if len(slices.Compact(slices.Clone(statuses))) > 1 {
		writeFolding(page, append(slices.Clone(known), true))
		writeFolding(page, append(slices.Clone(known), false))
		return
	}
	for _, is := range known {
		fmt.Fprintf(page, "| %s ", doctest.YesNo(is))
	}
	page.WriteString(strings.Repeat("| any ", len(folded)-len(known)))
	fmt.Fprintf(page, "| `%s` |\n", statuses[0])
}

// foldings returns the statuses of all requests that have a step of each group
// as known says; a group that is not known they may have or not.
func foldings(known []bool) []request.Status {
	if len(known) < len(folded) {
		with, without := append(slices.Clone(known), true), append(slices.Clone(known), false)
		return append(foldings(with), foldings(without)...)
	}
	var steps []request.StepStatus
	for i, is := range known {
		if is {
			steps = append(steps, folded[i])
		}
	}
	return []request.Status{statusOf(steps...)}
}

func statusOf(statuses ...request.StepStatus) request.Status {
	steps := make([]request.Step, len(statuses))
	for i, s := range statuses {
		steps[i].Status = s
	}
	return request.StatusOf(steps)
}

func TestEveryStatusIsDescribed(t *testing.T) {
	t.Parallel()
	for _, s := range doctest.Constants(t, "request.go", "RequestStatus") {
		status := request.Status(s)
		if _, known := request.Transitions[status]; !known || !status.Valid() {
			t.Errorf("%s: is declared and lacks in Transitions or RequestStatuses", s)
		}
		if statusMeanings[status] == "" {
			t.Errorf("%s: lacks a meaning", s)
		}
	}
	for _, s := range doctest.Constants(t, "step.go", "StepStatus") {
		if stepGroups[statusOf(request.StepStatus(s))] == "" {
			t.Errorf("step status %s: belongs to no group", s)
		}
	}
}

func TestAFinalStatusOnlyEndsByARetry(t *testing.T) {
	t.Parallel()
	for from, list := range request.Transitions {
		for _, to := range list {
			if !to.Valid() {
				t.Errorf("%s may become %s, which is no status", from, to)
			}
			if from.Final() && to != request.Queued {
				t.Errorf("%s is final and may become %s", from, to)
			}
		}
	}
}

func TestStateMachinePageIsCurrent(t *testing.T) {
	t.Parallel()
	doctest.Page(t, statesPath, statesPage(t))
}

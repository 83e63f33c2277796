//go:build unix

package system

import (
	"testing"

	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/request"
)

// AuditCharge checks the rule of the contract: a request that found more than one
// colleague costs a credit, any other nothing.
func AuditCharge(f *Faults, r request.View) {
	want := int64(0)
	if r.Colleagues != nil && r.Colleagues.Found > 1 {
		want = 1
	}
	if r.Credits.Charged != want {
		f.Add("charge does not fit the colleagues found", "%s: %d, want %d", r.RequestID, r.Credits.Charged, want)
	}
}

// AuditLedger checks that each charged request has one line and no other has any,
// and that the balance, as the service proves it, is the sum of all lines.
func (n *Tenant) AuditLedger(t *testing.T, f *Faults, reports map[string]request.View) {
	t.Helper()
	entries, err := n.Ledger(t.Context())
	Must(t, err)
	var sum int64
	charged := map[string]int64{}
	for _, e := range entries {
		sum += e.Amount
		if e.Kind != credit.EntryCharge {
			continue
		}
		if _, twice := charged[e.RequestID]; twice {
			f.Add("request was charged more than once", "%s", e.RequestID)
		}
		charged[e.RequestID] -= e.Amount
	}
	for id, r := range reports {
		if charged[id] != r.Credits.Charged {
			f.Add("ledger does not fit the request", "%s: %d in the ledger, %d charged", id, charged[id], r.Credits.Charged)
		}
		delete(charged, id)
	}
	for id := range charged {
		f.Add("charge for no request", "%s", id)
	}
	if proof := n.AuditProof(t, f); proof.Balance != sum {
		f.Add("balance is not the sum of the ledger", "%+v, sum of the lines read %d", proof, sum)
	}
}

// AuditProof checks the service's own word that a ledger is right, and returns it.
func (n *Tenant) AuditProof(t *testing.T, f *Faults) credit.Verification {
	t.Helper()
	var proof credit.Verification
	Command(t, n.Env, &proof, "credits", "verify", n.Organization)
	if !proof.OK || proof.Overcharged != 0 || proof.Balance != proof.Sum {
		f.Add("ledger is not verified", "%s: %+v", n.Organization, proof)
	}
	return proof
}

// AuditWebhooks checks that each message of a request came, under one id, and
// that the service knows it.
func (n *Tenant) AuditWebhooks(f *Faults, r request.View) {
	n.mu.Lock()
	defer n.mu.Unlock()
	want := []delivery.MessageType{delivery.MessageCompleted}
	if r.Colleagues != nil && r.Colleagues.Found > 0 {
		want = append(want, delivery.MessageColleaguesFound)
	}
	delivered := map[delivery.MessageType]string{}
	for _, w := range r.Webhooks {
		if w.EndpointID != n.Endpoint {
			continue
		}
		delivered[w.Type] = w.ID
		if w.Status != delivery.Delivered {
			f.Add("delivery has not arrived", "%s of %s is %s after %d attempts", w.Type, r.RequestID, w.Status, w.Attempts)
		}
	}
	for _, kind := range want {
		h := n.got[HookKey{r.RequestID, kind}]
		switch {
		case h == nil:
			f.Add("webhook never came", "%s of %s", kind, r.RequestID)
		case len(h.IDs) != 1 || h.IDs[delivered[kind]] == 0:
			f.Add("webhook came under another id", "%s of %s: %v, want %s", kind, r.RequestID, h.IDs, delivered[kind])
		case h.Report.Credits.Charged != r.Credits.Charged || Ends(kind) && h.Report.Status != r.Status:
			f.Add("webhook tells another end", "%s of %s: %s and %d credits, want %s and %d",
				kind, r.RequestID, h.Report.Status, h.Report.Credits.Charged, r.Status, r.Credits.Charged)
		}
	}
	if len(delivered) != len(want) {
		f.Add("wrong number of messages", "%s: %v, want %v", r.RequestID, delivered, want)
	}
}

package management

import (
	"context"
	"fmt"
	"time"

	"usersync/internal/delivery"
	"usersync/internal/store"
)

// ListDeliveries returns the deliveries to an endpoint with their attempts,
// newest first; status "" is every status.
func (s *Service) ListDeliveries(ctx context.Context, org *store.Org, endpoint string, status delivery.Status, before string, limit int) ([]delivery.Delivery, error) {
	if _, err := delivery.GetEndpoint(ctx, org, endpoint); err != nil {
		return nil, fmt.Errorf("read the endpoint: %w", err)
	}
	return delivery.List(ctx, org, endpoint, status, before, limit)
}

// GetDelivery returns a delivery with its attempts.
func (s *Service) GetDelivery(ctx context.Context, org *store.Org, id string) (delivery.Delivery, error) {
	return delivery.Get(ctx, org, id)
}

// TestEndpoint sends a test message to an endpoint.
func (s *Service) TestEndpoint(ctx context.Context, actor string, org *store.Org, id, traceparent string) (delivery.Delivery, error) {
	d, err := delivery.Test(ctx, org, actor, id, traceparent)
	if err != nil {
		return d, fmt.Errorf("send a test message: %w", err)
	}
	return d, nil
}

// Redeliver sends the message of a delivery again.
func (s *Service) Redeliver(ctx context.Context, actor string, org *store.Org, id string) (delivery.Delivery, error) {
	d, err := delivery.Redeliver(ctx, org, actor, id)
	if err != nil {
		return d, fmt.Errorf("send the message again: %w", err)
	}
	return d, nil
}

// RecoverInput names the window in which messages were made.
type RecoverInput struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"` // zero: now
}

func (in RecoverInput) window(now time.Time) (delivery.RecoveryWindow, error) {
	var v invalid
	w := delivery.RecoveryWindow{Since: in.Since, Until: now}
	if !in.Until.IsZero() && in.Until.Before(now) {
		w.Until = in.Until
	}
	switch {
	case in.Since.IsZero():
		v.add("since", "must be a time like 2026-11-22T10:00:00Z")
	case !in.Until.IsZero() && !in.Since.Before(in.Until):
		v.add("until", "must be after since")
	case !in.Since.Before(now):
		v.add("since", "must be in the past")
	}
	return w, v.err()
}

// RecoverDeliveries sends every failed delivery to an endpoint again whose message was
// made in the window, and returns how many those are.
func (s *Service) RecoverDeliveries(ctx context.Context, actor string, org *store.Org, id string, in RecoverInput) (int64, error) {
	w, err := in.window(time.Now())
	if err != nil {
		return 0, err
	}
	n, err := delivery.RecoverFailed(ctx, org, actor, id, w)
	if err != nil {
		return 0, fmt.Errorf("send the failed deliveries again: %w", err)
	}
	return n, nil
}

// PreviewRecovery returns how many deliveries RecoverDeliveries would send again.
func (s *Service) PreviewRecovery(ctx context.Context, org *store.Org, id string, in RecoverInput) (int64, error) {
	w, err := in.window(time.Now())
	if err != nil {
		return 0, err
	}
	n, err := delivery.CountRecoverable(ctx, org, id, w)
	if err != nil {
		return 0, fmt.Errorf("count the failed deliveries: %w", err)
	}
	return n, nil
}

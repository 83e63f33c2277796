package pipeline

import (
	"context"

	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Brought returns the works that a claim brought along; false when it brought nothing.
func Brought(c usersync.Claim) ([]request.Work, bool) {
	all, ok := c.Known.(loaded)
	return all.works, ok
}

// OrganizationOf returns the organization and the connections that a run would see.
func (s *Service) OrganizationOf(ctx context.Context, c usersync.Claim) (tenant.Organization, []platform.Connection, error) {
	b, err := s.load(ctx, c, RunArgs{})
	if err != nil {
		return tenant.Organization{}, nil, err
	}
	return b.organization, b.targets, nil
}

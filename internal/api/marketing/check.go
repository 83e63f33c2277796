package marketing

import (
	"context"
	"time"

	"usersync/internal/api"
	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// checkWithin bounds all calls of a check together, since the caller waits for them.
const checkWithin = 8 * time.Second

// checkPatch asks the platform whether it has the list and takes the tags that a call
// names beside those of the connection. It refuses the parameter that the platform does
// not know. When the connection itself is wrong, or the platform cannot be asked now, it
// says nothing: then the pushes find out, as they do for any other call. It changes
// nothing, neither there nor here.
func (h *Handlers) checkPatch(c *api.Call, connection string, patch usersync.PlatformSync) error {
	if h.Open == nil || patch.List == "" && len(patch.Tags) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Context(), checkWithin)
	defer cancel()
	refused := func(patch usersync.PlatformSync) *usersync.Error {
		return h.refusal(ctx, c.Caller.Org.ID(), connection, patch)
	}
	wrong := refused(patch)
	if wrong == nil || refused(usersync.PlatformSync{}) != nil || ctx.Err() != nil {
		return nil
	}
	if patch.List == "" {
		return api.Invalid("tags", "cannot be given: "+wrong.Message)
	}
	if len(patch.Tags) == 0 {
		return api.Invalid("list_id", "cannot be given: "+wrong.Message)
	}
	if of := refused(usersync.PlatformSync{List: patch.List}); of != nil {
		return api.Invalid("list_id", "cannot be given: "+of.Message)
	}
	return api.Invalid("tags", "cannot be given: "+wrong.Message)
}

// checkAudience asks the platform whether it takes the name of an audience. It refuses the
// name, and else says nothing, as checkPatch does. It changes nothing.
func (h *Handlers) checkAudience(c *api.Call, connection, name string) error {
	ctx, cancel := context.WithTimeout(c.Context(), checkWithin)
	defer cancel()
	opened, err := h.Open(ctx, c.Caller.Org.ID(), connection, usersync.PlatformSync{})
	if err != nil {
		return nil // as if it could not be asked
	}
	maker, makes := opened.(connector.AudienceMaker)
	if !makes {
		return errNoAudiences
	}
	wrong := refusalOf(maker.CheckAudience(ctx, name))
	if wrong == nil || h.refusal(ctx, c.Caller.Org.ID(), connection, usersync.PlatformSync{}) != nil || ctx.Err() != nil {
		return nil
	}
	return api.Invalid("audienceName", "cannot be given: "+wrong.Message)
}

// refusal is why a platform refuses a connection with a patch. It is nil when the platform
// takes it, and when it cannot be asked now.
func (h *Handlers) refusal(ctx context.Context, organization, connection string, patch usersync.PlatformSync) *usersync.Error {
	opened, err := h.Open(ctx, organization, connection, patch)
	if err == nil {
		_, err = opened.Check(ctx)
	}
	return refusalOf(err)
}

// refusalOf is an error as a refusal, or nil where it says nothing about what was asked.
func refusalOf(err error) *usersync.Error {
	switch found := usersync.AsError(err); {
	case found == nil:
		return nil
	case found.Code == usersync.CodeDisconnected, found.Code == usersync.CodeRejected, found.Code == usersync.CodeInvalid:
		return found
	}
	return nil
}

package manage

import (
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"usersync/internal/api"
	"usersync/internal/directory"
	"usersync/internal/importfile"
	"usersync/internal/usersync"
)

// importLimit bounds an uploaded file in bytes.
const importLimit = 64 << 20

// importTypes are the media types of files, importFormats how they are read.
var (
	importTypes   = []string{"text/csv", "application/x-ndjson", "application/jsonl"}
	importFormats = map[string]importfile.Format{
		"text/csv": importfile.CSV, "application/x-ndjson": importfile.NDJSON, "application/jsonl": importfile.NDJSON,
	}
)

const importsPath = "/v1/directory/imports"

// createImport is POST /v1/directory/imports. It answers when the file is stored;
// a task works the lines afterwards.
func (h *Handlers) createImport(c *api.Call) error {
	body, err := c.BodyStream()
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	mediaType, parameters, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
	if err != nil {
		return usersync.Errorf(usersync.CodeInvalid, "Content-Type cannot be read.")
	}
	made, err := h.Management.CreateImport(c.Context(), c.Caller.Org, directory.Upload{
		Body: body, Format: importFormats[strings.ToLower(mediaType)], Charset: parameters["charset"], Actor: c.Actor, Traceparent: c.Traceparent(),
	})
	if err != nil {
		return fmt.Errorf("create the import: %w", err)
	}
	setRetryAfter(c, made)
	return accepted(c, importsPath+"/"+made.ID, made, nil)
}

// setRetryAfter says when to look at an unfinished import again, in seconds.
func setRetryAfter(c *api.Call, i directory.Import) {
	const longest = 30
	if !i.Status.Final() {
		c.Header().Set("Retry-After", strconv.FormatInt(min(max(i.ETASeconds, 1), longest), 10))
	}
}

func (h *Handlers) listImports(c *api.Call) error {
	return ownPage(c, usersync.PrefixImport, h.Management.ListImports, func(i directory.Import) string { return i.ID })
}

// shownErrors bounds the errors shown with an import.
const shownErrors = 100

// importBody is an import with the first of its errors, and where all are.
type importBody struct {
	directory.Import
	Errors    []directory.ImportError `json:"errors"`
	ErrorsURL string                  `json:"errorsUrl"`
}

func (h *Handlers) getImport(c *api.Call) error {
	i, first, err := h.Management.GetImport(c.Context(), c.Caller.Org, c.Param("id"), shownErrors)
	if err != nil {
		return fmt.Errorf("get the import: %w", err)
	}
	setRetryAfter(c, i)
	return c.JSON(http.StatusOK, importBody{i, append([]directory.ImportError{}, first...), importsPath + "/" + i.ID + "/errors"})
}

// listImportErrors writes all errors that are kept as CSV. Nothing in it comes from
// the file.
func (h *Handlers) listImportErrors(c *api.Call) error {
	id := c.Param("id")
	return c.WriteCSV(id+"-errors.csv", []string{"line", "field", "message"}, func(write func([]string) error) error {
		return h.Management.EachImportError(c.Context(), c.Caller.Org, id, func(e directory.ImportError) error {
			return write([]string{strconv.FormatInt(e.Line, 10), e.Field, e.Message})
		})
	})
}

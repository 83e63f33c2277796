package manage

import (
	"encoding/csv"
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

// createImport is POST /v1/directory/imports: it answers when the file is
// stored, and the lines are worked afterwards.
func (o Options) createImport(c *api.Call) error {
	body, err := c.BodyStream()
	if err != nil {
		return err
	}
	mediaType, parameters, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
	if err != nil {
		return usersync.Errorf(usersync.CodeInvalid, "Content-Type cannot be read.")
	}
	made, err := o.Directory.Receive(c.Context(), c.Caller.Org, directory.Upload{
		Body: body, Format: importFormats[strings.ToLower(mediaType)], Charset: parameters["charset"], Actor: c.Actor, Traceparent: c.Traceparent(),
	})
	if err != nil {
		return err
	}
	o.Wake()
	c.Header().Set("Location", importsPath+"/"+made.ID)
	retryAfter(c, made)
	return c.JSON(http.StatusAccepted, made)
}

// retryAfter says when to look at an unfinished import again, in seconds.
func retryAfter(c *api.Call, i directory.Import) {
	const longest = 30
	if !i.Status.Final() {
		c.Header().Set("Retry-After", strconv.FormatInt(min(max(i.ETASeconds, 1), longest), 10))
	}
}

func listImports(c *api.Call) error {
	load := func(before string, limit int) ([]directory.Import, error) {
		return directory.ListImports(c.Context(), c.Caller.Org, before, limit)
	}
	return page(c, usersync.PrefixImport, load, func(i directory.Import) string { return i.ID })
}

// shownErrors bounds the errors shown with an import.
const shownErrors = 100

// detailedImport is an import with the first of its errors and where all are.
type detailedImport struct {
	directory.Import
	Errors    []directory.ImportError `json:"errors"`
	ErrorsURL string                  `json:"errorsUrl"`
}

func showImport(c *api.Call) error {
	i, err := directory.GetImport(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return err
	}
	first, _, err := directory.ListErrors(c.Context(), c.Caller.Org, i.ID, directory.ErrorPlace{}, shownErrors)
	if err != nil {
		return err
	}
	retryAfter(c, i)
	return c.JSON(http.StatusOK, detailedImport{i, append([]directory.ImportError{}, first...), importsPath + "/" + i.ID + "/errors"})
}

// errorPage is how many errors are read and written at once.
const errorPage = 1000

// showImportErrors writes all errors that are kept as CSV. Nothing in it comes
// from the file, so no cell of it can be a formula.
func showImportErrors(c *api.Call) error {
	i, err := directory.GetImport(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return err
	}
	list, place, err := directory.ListErrors(c.Context(), c.Caller.Org, i.ID, directory.ErrorPlace{}, errorPage)
	if err != nil {
		return err
	}
	c.Header().Set("Content-Type", "text/csv; charset=utf-8")
	c.Header().Set("Content-Disposition", `attachment; filename="`+i.ID+`-errors.csv"`)
	c.Response().WriteHeader(http.StatusOK)
	w := csv.NewWriter(c.Response())
	if err := w.Write([]string{"line", "field", "message"}); err != nil {
		return err
	}
	for len(list) > 0 { //lint:loop follows a cursor, page by page
		for _, e := range list {
			if err := w.Write([]string{strconv.FormatInt(e.Line, 10), e.Field, e.Message}); err != nil {
				return err
			}
		}
		if list, place, err = directory.ListErrors(c.Context(), c.Caller.Org, i.ID, place, errorPage); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

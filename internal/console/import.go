package console

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"strconv"
	"strings"

	"usersync/internal/api"
	"usersync/internal/console/ui"
	"usersync/internal/directory"
	"usersync/internal/importfile"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// uploadLimit bounds an upload in bytes: the file, as for the API, and what the form puts
// around it.
const uploadLimit = 64<<20 + 64<<10

func (h *Handlers) importPages() []api.Route {
	return []api.Route{
		h.page("/imports", h.listImports, read, manage),
		{Method: http.MethodPost, Path: "/imports", Scope: manage, MediaTypes: []string{"multipart/form-data"}, BodyLimit: uploadLimit, Handler: h.do(h.upload)},
		h.page("/imports/:id", h.showImport, read, manage),
		{Method: http.MethodGet, Path: "/imports/:id/errors", Handler: oneOf(h.importErrors, []tenant.Scope{read, manage})},
	}
}

func (h *Handlers) listImports(c *api.Call) (view, error) {
	if _, err := known(c); err != nil {
		return view{}, err
	}
	l, err := readListing(c, usersync.PrefixImport)
	if err != nil {
		return view{}, err
	}
	list, err := h.Management.ListImports(c.Context(), c.Caller.Org, l.before, pageSize+1)
	if err != nil {
		return view{}, err
	}
	list = cut(&l, list, func(i directory.Import) string { return i.ID })
	return view{title: "Imports", section: "Imports", still: importsHead(may(c, manage)), live: importsView(l.Pager, list)}, nil
}

// importPage is what the page of an import shows.
type importPage struct {
	directory.Import
	errors []directory.ImportError
}

func (h *Handlers) showImport(c *api.Call) (view, error) {
	i, first, err := h.Management.GetImport(c.Context(), c.Caller.Org, c.Param("id"), shownErrors)
	if err != nil {
		return view{}, err
	}
	return view{title: "Import", section: "Imports", still: importHead(), live: importView(importPage{i, first})}, nil
}

func (h *Handlers) importErrors(c *api.Call) error {
	id := c.Param("id")
	return c.WriteCSV(id+"-errors.csv", []string{"line", "field", "message"}, func(write func([]string) error) error {
		return h.Management.EachImportError(c.Context(), c.Caller.Org, id, func(e directory.ImportError) error {
			return write([]string{strconv.FormatInt(e.Line, 10), e.Field, e.Message})
		})
	})
}

var (
	errNoFile  = usersync.Errorf(usersync.CodeInvalid, "Choose a file first.")
	errNoParts = usersync.Errorf(usersync.CodeInvalid, "The upload could not be read.")
)

// upload stores a file of people, read as it comes.
func (h *Handlers) upload(c *api.Call) (done, error) {
	body, err := c.BodyStream()
	if err != nil {
		return done{}, err
	}
	file, err := fileOf(c.Request().Header.Get("Content-Type"), body)
	if err != nil {
		return done{}, err
	}
	made, err := h.Management.CreateImport(c.Context(), c.Caller.Org, directory.Upload{
		Body: file, Format: formatOf(file.FileName()), Actor: c.Actor, Traceparent: c.Traceparent(),
	})
	if err != nil {
		return done{}, err
	}
	return done{to: "/imports/" + made.ID, text: "The file is stored. Its people are being saved."}, nil
}

// fileOf returns the file of an upload.
func fileOf(contentType string, body io.Reader) (*multipart.Part, error) {
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, errNoParts
	}
	parts := multipart.NewReader(body, parameters["boundary"])
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, errNoFile
		}
		if err != nil {
			return nil, fmt.Errorf("read the upload: %w", err)
		}
		if part.FormName() == "file" && part.FileName() != "" {
			return part, nil
		}
	}
}

// formatOf goes by the name of the file; the beginning of the file decides for another name.
func formatOf(name string) importfile.Format {
	switch strings.ToLower(path.Ext(name)) {
	case ".csv":
		return importfile.CSV
	case ".ndjson", ".jsonl":
		return importfile.NDJSON
	}
	return ""
}

// progressOf tells how far an import is.
func progressOf(i directory.Import) string {
	text := fmt.Sprintf("%s of %s lines", ui.Number(i.Done), ui.Number(i.Lines))
	if i.RatePerSecond > 0 && !i.Status.Final() {
		text += fmt.Sprintf(", %s a second", ui.Number(i.RatePerSecond))
	}
	return text
}

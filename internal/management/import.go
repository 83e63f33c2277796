package management

import (
	"context"
	"fmt"

	"usersync/internal/directory"
	"usersync/internal/store"
)

// CreateImport reads an upload to its end and returns the import that a task
// will work. When it fails nothing is left. An error of code invalid is about
// the file.
func (s *Service) CreateImport(ctx context.Context, org *store.Org, u directory.Upload) (directory.Import, error) {
	made, err := (&directory.Service{Store: s.Store}).Receive(ctx, org, u)
	if err != nil {
		return made, fmt.Errorf("receive the upload: %w", err)
	}
	return made, nil
}

// ListImports returns the imports, newest first.
func (s *Service) ListImports(ctx context.Context, org *store.Org, before string, limit int) ([]directory.Import, error) {
	return directory.ListImports(ctx, org, before, limit)
}

// GetImport returns an import with the first of its errors, at most limit.
func (s *Service) GetImport(ctx context.Context, org *store.Org, id string, limit int) (directory.Import, []directory.ImportError, error) {
	i, err := directory.GetImport(ctx, org, id)
	if err != nil {
		return i, nil, fmt.Errorf("read the import: %w", err)
	}
	first, _, err := directory.ListErrors(ctx, org, id, directory.ErrorPlace{}, limit)
	if err != nil {
		return i, nil, fmt.Errorf("read the errors of the import: %w", err)
	}
	return i, first, nil
}

// errorPage is how many errors are held in memory at a time.
const errorPage = 1000

// EachImportError calls do with every error of an import that is kept, by line,
// until do returns an error.
func (s *Service) EachImportError(ctx context.Context, org *store.Org, id string, do func(directory.ImportError) error) error {
	if _, err := directory.GetImport(ctx, org, id); err != nil {
		return fmt.Errorf("read the import: %w", err)
	}
	var place directory.ErrorPlace
	for { //lint:loop follows a cursor, page by page
		list, next, err := directory.ListErrors(ctx, org, id, place, errorPage)
		if err != nil {
			return fmt.Errorf("read the errors of the import: %w", err)
		}
		if len(list) == 0 {
			return nil
		}
		if err := each(list, do); err != nil {
			return err
		}
		place = next
	}
}

// each calls do with every item until it returns an error.
func each[T any](items []T, do func(T) error) error {
	for _, item := range items {
		if err := do(item); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestTheListsAreWhatIsGenerated builds the embedded lists of the sources that are
// kept and of the reviewed files: a list changed by hand would lose the change when
// it is generated again.
func TestTheListsAreWhatIsGenerated(t *testing.T) {
	t.Parallel()
	lists, err := build("..")
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join("..", listsDir))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(lists) {
		t.Errorf("%d files, %d lists are made", len(files), len(lists))
	}
	for _, file := range files {
		committed, err := os.ReadFile(filepath.Join("..", listsDir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if list, ok := lists[file.Name()]; !ok || !bytes.Equal(committed, list.text()) {
			t.Errorf("%s is not what go generate makes: change a reviewed file instead", file.Name())
		}
	}
}

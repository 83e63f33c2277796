// Command api is the part of a deployment that accepts requests.
package main

import (
	"os"

	"usersync/internal/app"
)

func main() { os.Exit(app.Main(app.API)) }

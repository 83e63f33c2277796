// Command worker is the part of a deployment that works accepted requests.
package main

import (
	"os"

	"usersync/internal/app"
)

func main() { os.Exit(app.Main(app.Worker)) }
